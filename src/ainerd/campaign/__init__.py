"""Results lead to suggestions: regimes of all results, commands of people, suggestions and their status, the log."""

from ainerd.campaign._campaign import Campaign
from ainerd.campaign._claims import Claims
from ainerd.campaign._decisions import HOLDS, Answer
from ainerd.campaign._exposures import ExposureChoice, book_of
from ainerd.campaign._optimizer import Travel, check_name, policy_of, terms_of
from ainerd.campaign._sentences import named

__all__ = [
    "HOLDS", "Answer", "Campaign", "Claims", "ExposureChoice", "Travel", "book_of", "check_name", "named", "policy_of",
    "terms_of",
]  # fmt: skip
