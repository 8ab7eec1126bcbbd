"""Results lead to suggestions: regimes of all results, commands of people, suggestions and their status, the log."""

from ainerd.campaign._campaign import Answer, Campaign
from ainerd.campaign._commands import CommandReader
from ainerd.campaign._ledger import terms_of
from ainerd.campaign._optimizer import CampaignOptions

__all__ = ["Answer", "Campaign", "CampaignOptions", "CommandReader", "terms_of"]
