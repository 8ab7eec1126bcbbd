"""What was found leads to suggestions: regimes of all results, suggestions and their status, notices, the log."""

from ainerd.campaign._campaign import Campaign
from ainerd.campaign._ledger import terms_of
from ainerd.campaign._wishes import heed

__all__ = ["Campaign", "heed", "terms_of"]
