"""What was found leads to suggestions: regimes of all results, suggestions and their status, notices, the log."""

from ainerd.campaign._campaign import Campaign

__all__ = ["Campaign"]
