"""Results lead to suggestions: regimes of all results, commands of people, suggestions and their status, the log."""

from ainerd.campaign._atlas import Atlas, remembered
from ainerd.campaign._campaign import MAX_CONSECUTIVE_FAILURES, Campaign
from ainerd.campaign._claims import Claims
from ainerd.campaign._decisions import HOLDS, Answer
from ainerd.campaign._exposures import ExposureChoice, book_of
from ainerd.campaign._ledger import Ledger, Notices, limits_text
from ainerd.campaign._optimizer import OtherOptimizer, Travel, check_name, policy_of, terms_of
from ainerd.campaign._others import Partners
from ainerd.campaign._sentences import named

__all__ = [
    "HOLDS", "MAX_CONSECUTIVE_FAILURES", "Answer", "Atlas", "Campaign", "Claims", "ExposureChoice", "Ledger", "Notices",
    "OtherOptimizer", "Partners", "Travel", "book_of", "check_name", "limits_text", "named", "policy_of", "remembered",
    "terms_of",
]  # fmt: skip
