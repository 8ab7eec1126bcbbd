"""Results lead to suggestions: regimes of all results, commands of people, suggestions and their status, the log."""

from ainerd.campaign._campaign import READS, Campaign
from ainerd.campaign._claims import Claims
from ainerd.campaign._optimizer import Travel, policy_of
from ainerd.campaign._sentences import sentences

__all__ = ["READS", "Campaign", "Claims", "Travel", "policy_of", "sentences"]
