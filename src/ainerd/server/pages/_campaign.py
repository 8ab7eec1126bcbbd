"""The routes of a campaign's page: everything that it shows, then the changes; and its history."""

import base64
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import anyio
import numpy as np
from fastapi import APIRouter, Depends, Response
from numpy.typing import NDArray

from ainerd.results import USABLE
from ainerd.server._access import Caller, json_response
from ainerd.server.pages._commands import held_by, summarize_command
from ainerd.server.pages._node_cache import Row, change_token, has_changed, newest, node_cache
from ainerd.server.pages._reader import (
    AgentState,
    CampaignReader,
    ResultSummary,
    mapping,
    number,
    numbers,
    quantity_names,
    seconds,
    text,
)
from ainerd.server.pages._result import most_similar
from ainerd.server.pages._static import view_script
from ainerd.technique import panels

NEWEST_LINES, NEWEST_SUGGESTIONS, NEWEST_COMMANDS, MOST_COMMANDS = 200, 20, 10, 100
LATEST = 20  # the newest result is among the last so many that were created
MOST_RESULTS = 20_000  # on a map: the newest
WHOLE_S = 10.0  # after this time everything is read, even if the token is the same
MOST_HISTORY = 300  # refits and suggestions
MOST_LABELS = 100_000  # of all refits
router = APIRouter()


@router.get("/campaign/{path:path}")
async def campaign(
    path: str, caller: Annotated[Caller, Depends()], agent: str | None = None, since: str | None = None
) -> Response:
    """Return the campaign of an agent; with `since`, the ``cursor`` of an earlier answer, the changes, or 204."""
    cursor = _read_cursor(since)
    # After WHOLE_S, look for nodes that were removed, or that the caller may no longer see.
    is_recent = abs(time.time() - (number(cursor.get("at")) or 0.0)) < WHOLE_S
    if is_recent and not await has_changed(str(cursor.get("news"))):
        return Response(status_code=204)
    reader = await CampaignReader.open(caller, path)
    token = await change_token(reader.node.context)
    return json_response(await _answer(reader, await reader.agent(agent), cursor, token))


@router.get("/replay/{path:path}")
async def replay(path: str, caller: Annotated[Caller, Depends()], agent: str | None = None) -> Response:
    """Return the labels of each refit, by the index of results in the answer of `campaign`, and the suggestions.

    Both are oldest first. A refit has only the labels that differ from those of the refit before.
    """
    reader = await CampaignReader.open(caller, path)
    name = (await reader.agent(agent)).name
    _, rows = await reader.results()
    index = {row.key: i for i, row in enumerate(row for row in rows if row.summary.agent == name)}
    node = await reader.child("atlas")
    atlases: list[dict[str, Any]] = []
    known: dict[int, int] = {}
    n = min(MOST_HISTORY, MOST_LABELS // max(len(index), 1) + 1)
    for _, _, metadata in reversed([] if node is None else await newest(node, n)):
        labels, created = metadata.get("labels"), seconds(metadata.get("created"))
        if metadata.get("agent") not in (None, name) or not isinstance(labels, dict) or created is None:
            continue
        current = {index[key]: x for key, x in labels.items() if key in index and isinstance(x, int)}
        changed = {str(i): x for i, x in current.items() if known.get(i) != x}
        known |= current
        atlases.append({"t": created, "version": metadata.get("version"), "label": changed})
    shown = ("id", "created", "position", "reason", "terms", "status", "status_by", "status_reason", "status_time")
    _, suggestions = await reader.suggestions(name)
    return json_response(
        {
            "atlases": atlases,
            "suggestions": [{name: each[name] for name in shown} for each in suggestions[-MOST_HISTORY:]],
        }
    )


async def _answer(reader: CampaignReader, state: AgentState, known: Mapping[str, Any], token: str) -> dict[str, Any]:
    metadata, name = state.metadata, state.name
    cache, all_rows = await reader.results()
    rows = [row for row in all_rows if row.summary.agent == name][-MOST_RESULTS:]
    results: list[ResultSummary] = [row.summary for row in rows]
    atlas, labels = await reader.labels()
    suggestions_version, suggestions = await reader.suggestions(name)
    log_generation, lines = await reader.lines()
    commands = await _commands(reader, state)
    axes, belief = mapping(metadata.get("latent")), mapping(metadata.get("belief"))
    version = known.get("v", -1)
    before = sum(row.created <= version for row in rows)
    same = {"g": cache.generation, "agent": name, "first": rows[0].id if rows else 0, "axes": axes.get("version")}
    whole = any(known.get(key) != x for key, x in same.items()) or known.get("n") != before
    since_line = -1 if whole or known.get("lg") != log_generation else known.get("l", -1)
    moved = whole or known.get("a") != atlas or len(rows) != before or any(row.changed > version for row in rows)
    cursor = {
        **same, "v": cache.version, "n": len(rows), "a": atlas, "lg": log_generation,
        "l": lines[-1].id if lines else -1, "b": belief.get("version"), "s": suggestions_version,
        "news": token, "at": int(time.time()),
    }  # fmt: skip
    same_belief = not whole and known.get("b") == belief.get("version")
    motors = [*mapping(metadata.get("bounds"))] or motor_names(results)
    technique = text(metadata.get("technique")) or (results[-1].technique if results else "")
    techniques = {result.technique for result in results[-1000:]} | {technique}
    scripts = await anyio.to_thread.run_sync(_scripts, tuple(sorted(techniques - {""})))
    return {
        "cursor": base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode(),
        "agent": name,
        "agent_key": state.key,
        "agents": [other.name for other in reader.agents] or [name],
        "whole": whole,
        "sample": {
            "motors": motors,
            "units": _units(results, metadata),
            "bounds": metadata.get("bounds") or {},
            "excluded": metadata.get("excluded") or [],
            "belief": belief if belief and not same_belief else None,
            "belief_same": same_belief and bool(belief),
        },
        "results": await anyio.to_thread.run_sync(_columns, rows, motors, axes, None if whole else version),
        "newest": _newest(results) if moved else None,
        "regimes": _regimes(metadata, results, labels, atlas, moved),
        "latent": {key: axes.get(key) for key in ("share", "of", "landmarks")} if axes else None,
        "novelty": _novelty(metadata, results),
        "next": _next(suggestions, reader.caller),
        "measuring": next(
            (_shown(s) for s in reversed(suggestions) if s["status"] == "accepted" and s["status_by"] == name), None
        ),
        "suggestions": None
        if not whole and known.get("s") == suggestions_version
        else [_shown(each) for each in suggestions[-NEWEST_SUGGESTIONS:]],
        "log": _log(lines, name, since_line),
        "commands": commands,
        "held": held_by(metadata.get("held"), commands),
        "health": _health(state),
        "computing": [{"key": r.key, "scan": r.scan} for r in results if r.status == "computing"][-20:],
        "technique": technique,
        **scripts,
    }


def _read_cursor(since: str | None) -> dict[str, Any]:
    """Return the contents of a cursor; empty if it is not one of ours."""
    try:
        cursor = json.loads(base64.urlsafe_b64decode(since or ""))
    except ValueError:
        return {}
    is_ours = isinstance(cursor, dict) and all(isinstance(cursor.get(name), int) for name in ("v", "n", "l"))
    return cursor if is_ours else {}


def _columns(rows: Sequence[Row], motors: Sequence[str], axes: Mapping[str, Any], since: int | None) -> dict[str, Any]:
    """Return results as columns; only those that changed after version `since`, with their indices among all."""
    index = [i for i, row in enumerate(rows) if since is None or row.changed > since]
    results: list[ResultSummary] = [rows[i].summary for i in index]
    x, y = ([r.positions.get(motor) for r in results] for motor in ([*motors, "", ""])[:2])
    present = dict.fromkeys(name for r in results for name in r.quantities)
    order = [name for name in quantity_names(results[-1].technique if results else "", ()) if name in present]
    u, v = np.ascontiguousarray(_project(results, axes).T)
    return {
        "from": 0,
        "n": len(rows),
        **({} if since is None else {"index": index}),
        "key": [r.key for r in results],
        "scan": [r.scan for r in results],
        "t": np.round(np.array([r.t for r in results], float), 1),
        "x": _float32(x),
        "y": _float32(y),
        "u": u,
        "v": v,
        "p": _float32([r.p for r in results]),
        "novel": [None if r.novel is None else int(r.novel) for r in results],
        "status": [r.status for r in results],
        "frames": [r.frames for r in results],
        "duration": _float32([r.duration for r in results]),
        "of": {name: _float32([r.quantities.get(name) for r in results]) for name in dict.fromkeys([*order, *present])},
    }


def _float32(values: Sequence[float | None]) -> NDArray[np.float32]:
    """Return values with seven digits, which are enough for a picture."""
    with np.errstate(over="ignore"):
        array = np.array(values, float).astype(np.float32)
    array[~np.isfinite(array)] = np.nan
    return array


def _project(results: Sequence[ResultSummary], axes: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return embeddings in the two axes that the agent reports; without any, their first two components."""
    projected = np.full((len(results), 2), np.nan, np.float32)
    try:
        middle: Any = np.asarray(axes["middle"], float)
        directions: Any = np.asarray(axes["directions"], float)
        size, digest = middle.size, axes.get("digest")
    except (KeyError, TypeError, ValueError):
        middle, directions, size, digest = None, None, None, None
    usable = [
        i
        for i, r in enumerate(results)
        if r.embedding is not None and r.embedding.size == (size or r.embedding.size) and digest in (None, r.digest)
    ]
    if usable and directions is not None:
        projected[usable] = (np.stack([results[i].embedding for i in usable]) - middle) @ directions.T
    for i in usable if directions is None else ():
        components = results[i].embedding[:2]
        projected[i, : components.size] = components
    return projected


def _regimes(
    metadata: Mapping[str, Any], results: Sequence[ResultSummary], labels: Mapping[str, int], atlas: int, moved: bool
) -> dict[str, Any]:
    regimes = mapping(metadata.get("regimes"))
    shown = {
        "atlas": atlas, "names": metadata.get("names") or {}, "n": regimes.get("n"),
        "supported": regimes.get("supported"),
    }  # fmt: skip
    if not moved:
        return {**shown, "label": None, "kinds": None}
    label = [labels.get(r.key, r.regime) for r in results]
    counts: dict[int, Counter[str]] = {}
    for result, regime in zip(results, label, strict=True):
        if regime is not None and regime >= 0 and result.kind:
            counts.setdefault(regime, Counter())[result.kind] += 1
    # The known kind that most results of the regime are like, if they are a majority.
    most = {regime: count.most_common(1)[0] for regime, count in counts.items()}
    kinds = {str(regime): kind for regime, (kind, n) in most.items() if 2 * n > counts[regime].total()}
    return {**shown, "label": label, "kinds": kinds}


def _newest(results: Sequence[ResultSummary]) -> dict[str, Any] | None:
    """Return the newest usable result and those most similar to it, so that a page need not ask before it draws."""
    done = sorted((r for r in results[-LATEST:] if r.status in USABLE), key=lambda r: r.t or 0.0)
    if not done:
        return None
    return {"key": done[-1].key, "nearest": [each["key"] for each in most_similar(done[-1].key, results)]}


def _novelty(metadata: Mapping[str, Any], results: Sequence[ResultSummary]) -> dict[str, Any]:
    claims, flagged = sum(r.p is not None for r in results), sum(bool(r.novel) for r in results)
    alpha, novelty = number(metadata.get("alpha")), mapping(metadata.get("novelty"))
    return {
        "alpha": alpha,
        "claims": claims,
        "expected_false": None if alpha is None else alpha * claims,
        "flagged": flagged,
        "bound": text(novelty.get("bound")),
        "discoveries": numbers(mapping(novelty.get("discoveries"))),
    }


def _next(suggestions: Sequence[Mapping[str, Any]], caller: Caller) -> dict[str, Any] | None:
    """Return the newest suggestion that a person took or that the agent itself proposed and is open."""
    for each in reversed(suggestions):
        taken = each["status"] == "accepted" and each["status_by"] not in (None, each["agent"])
        if taken or (each["status"] == "proposed" and not each["proposed_by"]):
            mine = caller.uuid is not None and each["principal"] == caller.uuid
            return {
                **_shown(each),
                "by": each["proposed_by"] or each["agent"],
                "taken_by": each["status_by"] if each["status"] == "accepted" else None,
                "mine": mine,
                "why_not": "the principal that proposed it cannot approve it" if mine else None,
            }
    return None


def _shown(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    return {name: x for name, x in suggestion.items() if name != "principal"}


def _log(lines: Sequence[Row], agent: str, since: int) -> dict[str, Any]:
    own = [row for row in lines if row.summary["agent"] in (None, agent)]
    new = [row for row in own if row.id > since][-NEWEST_LINES:]
    shown = [{name: row.summary[name] for name in ("key", "t", "text", "agent", "result")} for row in new]
    return {"lines": shown, "before": len(own) - len(new)}


async def _commands(reader: CampaignReader, state: AgentState) -> list[dict[str, Any]]:
    """Return the requests of people that wait for the agent, and the newest that it has answered; oldest first."""
    node = await reader.child("agents", state.key) if state.key else None
    if node is None:
        return []
    rows = await node_cache(node, summarize_command).read(node)
    commands = [row.summary for row in reversed(rows[-MOST_COMMANDS:])]
    waiting = [each for each in commands if each["status"] == "asked"]
    answered = [each for each in commands if each["status"] != "asked"][:NEWEST_COMMANDS]
    return sorted([*waiting, *answered], key=lambda command: command["t"] or 0.0)


def _health(state: AgentState) -> dict[str, Any] | None:
    if not state.key:
        return None
    return {
        **dict.fromkeys(("run", "waits", "drift")),  # Tiled does not store None
        **mapping(state.metadata.get("health")),
        "heard": state.heard,
        "now": time.time(),
        "review": bool(state.metadata.get("review")),
        "explored": text(state.metadata.get("explored")),
    }


def _units(results: Sequence[ResultSummary], metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the units of positions and quantities."""
    units: dict[str, str] = {}
    for r in {id(r.units): r for r in results[-1000:]}.values():
        units |= {name: unit for name, unit in r.units.items() if name in r.positions or name in r.quantities}
    return {**units, **mapping(metadata.get("units"))}


def motor_names(results: Sequence[ResultSummary]) -> list[str]:
    """Return the motors of the last hundred results."""
    return list(dict.fromkeys(name for r in results[-100:] for name in r.positions))


@lru_cache
def _scripts(techniques: tuple[str, ...]) -> dict[str, Any]:
    """Return the scripts of techniques, and the array of a result that is shown as its small picture."""
    views = {name: f"/custom/ainerd/technique/{name}/view.js" for name in techniques if view_script(name)}
    pictures = {name: getattr(panels(name), "thumbnail", None) for name in techniques}
    return {"views": views, "thumbnail": {name: picture for name, picture in pictures.items() if picture}}
