"""Everything that the page of a campaign shows, in one answer; then what has changed since."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import anyio
import numpy as np
import orjson
from fastapi import APIRouter, Depends, Response
from numpy.typing import NDArray

from ainerd.results import USABLE
from ainerd.server.pages._access import Asked
from ainerd.server.pages._alike import nearest
from ainerd.server.pages._kept import Row, kept
from ainerd.server.pages._news import is_old, name_of
from ainerd.server.pages._short import ShortResult, number, numbers, quantities, text
from ainerd.server.pages._sources import AgentState, Sources, kinds
from ainerd.server.pages._static import view_script
from ainerd.server.pages._wishes import held_by, is_final_wish, short_wish
from ainerd.technique import panels

NEWEST_LINES, NEWEST_SUGGESTIONS, NEWEST_WISHES = 200, 20, 10
LATEST = 20  # results written last, one of which is the newest
MOST_RESULTS = 20_000  # the newest, on a map
WHOLE_S = 10.0  # after which everything is looked at, whether there is news or not
router = APIRouter()


@router.get("/campaign/{path:path}")
async def campaign(
    path: str, asked: Annotated[Asked, Depends()], agent: str | None = None, since: str | None = None
) -> Response:
    """The campaign of an agent; with `since`, the ``cursor`` of an earlier answer, what is new: 204 if nothing is."""
    known = _read_cursor(since)
    if _is_young(known) and not await is_old(str(known.get("news"))):
        return Response(status_code=204)
    sources = await Sources.at(asked, path)
    news = await name_of(sources.node.context)
    state = await sources.agent(agent)
    return json_response(await _answer(sources, state, known, news))


def json_response(found: Any) -> Response:
    """JSON of plain values and arrays; NaN is null."""
    return Response(orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


async def _answer(sources: Sources, state: AgentState, known: Mapping[str, Any], news: str) -> dict[str, Any]:
    said, name = state.said, state.name
    store, rows = await sources.results()
    rows = [row for row in rows if row.said.agent == name][-MOST_RESULTS:]
    atlas, labels = await sources.labels()
    at_suggestions, suggestions = await sources.suggestions(name)
    log_generation, lines = await sources.lines()
    wishes = await _wishes(sources, state)
    axes = _mapping(said.get("latent"))
    version = known.get("v", -1)
    before = sum(row.made <= version for row in rows)
    same = {"g": store.generation, "agent": name, "first": rows[0].id if rows else 0, "axes": axes.get("version")}
    whole = any(known.get(what) != x for what, x in same.items()) or known.get("n") != before
    since_line = -1 if whole or known.get("lg") != log_generation else known.get("l", -1)
    belief = _mapping(said.get("belief"))
    results = [row.said for row in rows]
    moved = whole or known.get("a") != atlas or len(rows) != before or any(row.changed > version for row in rows)
    cursor = {
        **same, "v": store.version, "n": len(rows), "a": atlas, "lg": log_generation,
        "l": lines[-1].id if lines else -1, "b": belief.get("version"), "s": at_suggestions,
        "news": news, "at": int(time.time()),
    }  # fmt: skip
    belief_same = not whole and known.get("b") == belief.get("version")
    motors = [*_mapping(said.get("bounds"))] or _motors(results)
    technique = text(said.get("technique")) or (results[-1].technique if results else "")
    techniques = {result.technique for result in results[-1000:]} | {technique}
    scripts = await anyio.to_thread.run_sync(_scripts, tuple(sorted(techniques - {""})))
    return {
        "cursor": base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode(),
        "agent": name,
        "agent_key": state.key,
        "agents": [other.name for other in sources.agents] or [name],
        "whole": whole,
        "sample": {
            "motors": motors,
            "units": _units(results, said),
            "bounds": said.get("bounds") or {},
            "excluded": said.get("excluded") or [],
            "belief": belief if belief and not belief_same else None,
            "belief_same": belief_same and bool(belief),
        },
        "results": await anyio.to_thread.run_sync(_columns, rows, motors, axes, None if whole else version),
        "newest": _newest(results) if moved else None,
        "regimes": _regimes(said, results, labels, atlas, moved),
        "latent": {key: axes.get(key) for key in ("share", "of", "landmarks")} if axes else None,
        "novelty": _novelty(said, results),
        "next": _next(suggestions, sources.asked),
        "measuring": next((_shown(s) for s in reversed(suggestions) if _is_measured_now(s, name)), None),
        "suggestions": None
        if not whole and known.get("s") == at_suggestions
        else [_shown(each) for each in suggestions[-NEWEST_SUGGESTIONS:]],
        "log": _log(lines, name, since_line),
        "wishes": wishes,
        "held": held_by(said.get("held"), wishes),
        "health": _health(state),
        "computing": [{"key": r.key, "scan": r.scan} for r in results if r.status == "computing"][-20:],
        "technique": technique,
        **scripts,
    }


def _read_cursor(since: str | None) -> dict[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(since or ""))
    except ValueError:
        return {}
    counted = isinstance(found, dict) and all(isinstance(found.get(name), int) for name in ("v", "n", "l"))
    return found if counted else {}


def _is_young(known: Mapping[str, Any]) -> bool:
    """Whether an answer is so new that what was removed, or is no longer for who asks, need not be looked for."""
    return abs(time.time() - (number(known.get("at")) or 0.0)) < WHOLE_S


def _columns(rows: Sequence[Row], motors: Sequence[str], axes: Mapping[str, Any], since: int | None) -> dict[str, Any]:
    """Results as columns; those that changed after the version `since`, with their places among all."""
    places = [i for i, row in enumerate(rows) if since is None or row.changed > since]
    results: list[ShortResult] = [rows[i].said for i in places]
    x, y = ([r.positions.get(motor) for r in results] for motor in ([*motors, "", ""])[:2])
    technique = results[-1].technique if results else ""
    wanted = dict.fromkeys(name for r in results for name in r.of)
    order = [*(name for name in quantities(technique, ()) if name in wanted), *wanted]
    u, v = np.ascontiguousarray(_placed(results, axes).T)
    return {
        "from": 0,
        "n": len(rows),
        **({} if since is None else {"index": places}),
        "key": [r.key for r in results],
        "scan": [r.scan for r in results],
        "t": np.round(_numbers([r.t for r in results]), 1),
        "x": _short(x),
        "y": _short(y),
        "u": u,
        "v": v,
        "p": _short([r.p for r in results]),
        "novel": [None if r.novel is None else int(r.novel) for r in results],
        "status": [r.status for r in results],
        "frames": [r.frames for r in results],
        "duration": _short([r.duration for r in results]),
        "of": {name: _short([r.of.get(name) for r in results]) for name in dict.fromkeys(order)},
    }


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if x is None else x for x in values], dtype=float)


def _short(values: Sequence[float | None]) -> NDArray[np.float32]:
    """Seven digits are enough for a picture."""
    with np.errstate(over="ignore"):
        found = _numbers(values).astype(np.float32)
    found[~np.isfinite(found)] = np.nan
    return found


def _placed(results: Sequence[ShortResult], axes: Mapping[str, Any]) -> NDArray[np.float32]:
    """Points of the latent space in the two axes that the agent says; in its first two components without any."""
    placed = np.full((len(results), 2), np.nan, np.float32)
    try:
        middle: Any = np.asarray(axes["middle"], float)
        directions: Any = np.asarray(axes["directions"], float)
        size, digest = middle.size, axes.get("digest")
    except (KeyError, TypeError, ValueError):
        middle, directions, size, digest = None, None, None, None
    there = [
        i
        for i, r in enumerate(results)
        if r.embedding is not None and r.embedding.size == (size or r.embedding.size) and digest in (None, r.digest)
    ]
    if there and directions is not None:
        placed[there] = (np.stack([results[i].embedding for i in there]) - middle) @ directions.T
    for i in there if directions is None else ():
        found = results[i].embedding[:2]
        placed[i, : found.size] = found
    return placed


def _regimes(
    said: Mapping[str, Any], results: Sequence[ShortResult], labels: Mapping[str, int], atlas: int, moved: bool
) -> dict[str, Any]:
    about = _mapping(said.get("regimes"))
    shown = {"atlas": atlas, "names": said.get("names") or {}, "n": about.get("n"), "supported": about.get("supported")}
    if not moved:
        return {**shown, "label": None, "kinds": None}
    label = [labels.get(r.key, r.regime) for r in results]
    return {**shown, "label": label, "kinds": {str(regime): kind for regime, kind in kinds(results, label).items()}}


def _newest(results: Sequence[ShortResult]) -> dict[str, Any] | None:
    """What the newest results that can be looked at are most like: a page asks for no more before it draws them."""
    done = sorted((r for r in results[-LATEST:] if r.status in USABLE), key=lambda r: r.t or 0.0)
    return {"key": done[-1].key, "nearest": [each["key"] for each in nearest(done[-1].key, results)]} if done else None


def _novelty(said: Mapping[str, Any], results: Sequence[ShortResult]) -> dict[str, Any]:
    claims, flagged = sum(r.p is not None for r in results), sum(bool(r.novel) for r in results)
    alpha, about = number(said.get("alpha")), _mapping(said.get("novelty"))
    return {
        "alpha": alpha,
        "claims": claims,
        "expected_false": None if alpha is None else alpha * claims,
        "flagged": flagged,
        "bound": text(about.get("bound")),
        "discoveries": numbers(_mapping(about.get("discoveries"))),
    }


def _next(suggestions: Sequence[Mapping[str, Any]], asked: Asked) -> dict[str, Any] | None:
    """What the agent would measure next, or what a person took: of its own ones the newest that is open."""
    for each in reversed(suggestions):
        taken = each["status"] == "accepted" and each["status_by"] not in (None, each["agent"])
        if taken or (each["status"] == "proposed" and not each["proposed_by"]):
            return _with_leave(each, asked)
    return None


def _with_leave(suggestion: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    mine = asked.uuid is not None and suggestion["principal"] == asked.uuid
    taken = suggestion["status"] == "accepted"
    why = "the principal that proposed it cannot approve it" if mine else None
    by = suggestion["proposed_by"] or suggestion["agent"]
    taken_by = suggestion["status_by"] if taken else None
    return {**_shown(suggestion), "by": by, "taken_by": taken_by, "mine": mine, "why_not": why}


def _shown(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    return {name: x for name, x in suggestion.items() if name != "principal"}


def _is_measured_now(suggestion: Mapping[str, Any], agent: str) -> bool:
    return suggestion["status"] == "accepted" and suggestion["status_by"] == agent


def _log(lines: Sequence[Row], agent: str, since: int) -> dict[str, Any]:
    mine = [row for row in lines if row.said["agent"] in (None, agent)]
    new = [row for row in mine if row.id > since][-NEWEST_LINES:]
    shown = [{name: row.said[name] for name in ("key", "t", "text", "agent", "result")} for row in new]
    return {"lines": shown, "before": len(mine) - len(new)}


async def _wishes(sources: Sources, state: AgentState) -> list[dict[str, Any]]:
    """What people asked of the agent: all that waits, and the newest that does not; oldest first."""
    node = await sources.child("agents", state.key) if state.key else None
    if node is None:
        return []
    found = [row.said for row in (await kept(node, short_wish, is_final_wish).read(node))[:-101:-1]]
    waits = [wish for wish in found if wish["status"] == "asked"]
    done = [wish for wish in found if wish["status"] != "asked"][:NEWEST_WISHES]
    return sorted([*waits, *done], key=lambda wish: wish["t"] or 0.0)


def _health(state: AgentState) -> dict[str, Any] | None:
    if not state.key:
        return None
    said, about = state.said, _mapping(state.said.get("health"))
    return {
        **dict.fromkeys(("run", "waits", "drift")),  # None is not kept
        **about,
        "heard": state.heard,
        "now": time.time(),
        "review": bool(said.get("review")),
        "explored": text(said.get("explored")),
    }


def _units(results: Sequence[ShortResult], said: Mapping[str, Any]) -> dict[str, str]:
    """Of positions and quantities."""
    found: dict[str, str] = {}
    for result in {id(r.units): r for r in results[-1000:]}.values():
        found |= {n: unit for n, unit in result.units.items() if n in result.positions or n in result.of}
    return {**found, **_mapping(said.get("units"))}


def _motors(results: Sequence[ShortResult]) -> list[str]:
    return list(dict.fromkeys(name for r in results[-100:] for name in r.positions))


@lru_cache
def _scripts(techniques: tuple[str, ...]) -> dict[str, Any]:
    """Views of techniques, and of which array of a result a small picture is made."""
    views = {name: f"/custom/ainerd/technique/{name}/view.js" for name in techniques if view_script(name)}
    pictures = {name: getattr(panels(name), "thumbnail", None) for name in techniques}
    return {"views": views, "thumbnail": {name: picture for name, picture in pictures.items() if picture}}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
