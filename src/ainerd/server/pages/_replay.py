"""What changed when in a campaign, so that its page can play a night again."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from ainerd.server.pages._access import Asked
from ainerd.server.pages._campaign import json_response
from ainerd.server.pages._kept import newest
from ainerd.server.pages._short import seconds
from ainerd.server.pages._sources import Sources

MOST = 300  # of each
MOST_LABELS = 100_000  # in all
router = APIRouter()


@router.get("/replay/{path:path}")
async def replay(path: str, asked: Annotated[Asked, Depends()], agent: str | None = None) -> Response:
    """Labels of each refit, by the places of results in the answer of `campaign`; and suggestions, oldest first."""
    sources = await Sources.at(asked, path)
    name = (await sources.agent(agent)).name
    _, rows = await sources.results()
    place = {row.key: i for i, row in enumerate(row for row in rows if row.said.agent == name)}
    atlases = await _atlases(sources, name, place)
    shown = ("id", "created", "position", "reason", "terms", "status", "status_by", "status_reason", "status_time")
    suggestions = [{n: said[n] for n in shown} for said in (await sources.suggestions(name))[1][-MOST:]]
    return json_response({"atlases": atlases, "suggestions": suggestions})


async def _atlases(sources: Sources, agent: str, place: Mapping[str, int]) -> list[dict[str, Any]]:
    """Each with the labels that are other than those of the one before."""
    node = await sources.child("atlas")
    found: list[dict[str, Any]] = []
    known: dict[int, int] = {}
    n = min(MOST, MOST_LABELS // max(len(place), 1) + 1)
    for _, _, said in reversed([] if node is None else await newest(node, n)):
        labels, when = said.get("labels"), seconds(said.get("created"))
        if said.get("agent") not in (None, agent) or not isinstance(labels, dict) or when is None:
            continue
        now = {place[key]: x for key, x in labels.items() if key in place and isinstance(x, int)}
        changed = {str(i): x for i, x in now.items() if known.get(i) != x}
        known |= now
        found.append({"t": when, "version": said.get("version"), "label": changed})
    return found
