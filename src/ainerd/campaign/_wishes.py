"""What people ask of a campaign by a page, and what becomes of it."""

from collections.abc import Mapping
from typing import Any

from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._campaign import Campaign

NO_REASON = "asked for on a page"


def heed(campaign: Campaign, wish: Mapping[str, Any]) -> tuple[str, str]:
    """Do what a person asks; whether it is ``done`` or ``refused``, and a sentence."""
    try:
        return "done", _done(campaign, wish)
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # anybody may have written it
        return "refused", str(error)[:300] if isinstance(error, ValueError) else f"it makes no sense: {error!r}"[:300]


def _done(campaign: Campaign, wish: Mapping[str, Any]) -> str:
    by = str(wish["by"]) if wish.get("verified") else f"{wish['by']} (unverified)"
    why = str(wish.get("why") or "")
    match wish["do"]:
        case "take":
            campaign.take(_suggestion(wish), why, by)
            return "it is measured next"
        case "reject":
            campaign.reject(why or NO_REASON, by, _suggestion(wish))
            return "it is not measured, and nothing else there"
        case "hold":
            campaign.hold(why, by)
            return "no new suggestion is taken"
        case "release":
            campaign.release(by)
            return "plans go on"
        case "exclude":
            region = {str(name): (float(low), float(high)) for name, (low, high) in wish["region"].items()}
            campaign.exclude(region, why or NO_REASON, by)
            return "nothing is suggested there"
        case "add":
            position = campaign.position([wish["position"][name] for name in campaign.names])
            principal = wish.get("principal")
            campaign.add(position, why or NO_REASON, by, principal if isinstance(principal, str) else None)
            return "it is suggested next"
        case "name":
            campaign.name_regime(int(wish["regime"]), str(wish.get("name") or ""), by)
            return "it is called so"
    raise ValueError(f"nothing is known of {str(wish['do'])[:60]!r}")


def _suggestion(wish: Mapping[str, Any]) -> dict[str, Any]:
    terms = wish.get("terms")
    position = {str(name): float(x) for name, x in wish["position"].items()}
    return {
        **(dict(terms) if isinstance(terms, Mapping) else {}),
        **position,
        ID_KEY: str(wish["suggestion"]),
        "reason": str(wish.get("reason") or NO_REASON),
    }
