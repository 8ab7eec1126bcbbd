"""The routes of a campaign's page: everything that it shows, then the changes; and its history."""

import asyncio
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import anyio
import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ValidationError

from ainerd.results import Columns, ResultRecord, regime_kinds
from ainerd.server._access import json_response
from ainerd.server.internals import Caller, Child, change_token, newest, newest_key
from ainerd.server.pages._commands import held_by, summarize_command
from ainerd.server.pages._reader import (
    MOST_REFITS,
    AgentState,
    CampaignReader,
    NodeRows,
    mapping,
    number,
    seconds,
    text,
)
from ainerd.server.pages._results import nearest
from ainerd.server.pages._static import view_script
from ainerd.technique import panels

NEWEST_LINES, NEWEST_SUGGESTIONS, NEWEST_COMMANDS, MOST_COMMANDS = 200, 20, 10, 100
LATEST = 20  # the newest result is among the last so many that were created
NEWEST = 100  # results whose motors, units and quantities are those of the page
MOST_RESULTS = 20_000  # on a map: the newest
WHOLE_S = 10.0  # after this time everything is read, even if the token is the same
PAUSE = 3  # from the start of a reading to the next one of many pages: so many times as long as the first one took
MOST_VIEWS = 20  # of a catalog that are kept
MOST_HISTORY = 300  # suggestions
MOST_LABELS = 100_000  # of all refits
router = APIRouter()
# Of each catalog, by path, agent and principal.
_views: "WeakKeyDictionary[Any, dict[tuple[str, str | None, str | None], _Shared]]" = WeakKeyDictionary()


class PageCursor(BaseModel):
    """The parts of a campaign that a page has received."""

    same: list[Any] = []  #: if one of these changes, all results are sent
    n: int = 0  #: number of results
    last: int = -1  #: id of the last one
    version: int = -1  #: of the results
    line: int = -1  #: id of the last line of the log
    parts: dict[str, int] = {}  #: checksums of the other parts
    token: str = ""  #: of the catalog
    at: float = 0.0  #: time of the answer


@router.get("/campaign/{path:path}")
async def campaign(
    path: str, caller: Annotated[Caller, Depends()], agent: str | None = None, since: str | None = None
) -> Response:
    """Return the campaign of an agent; with `since`, the ``cursor`` of an earlier answer, the changes, or 204."""
    try:
        cursor = PageCursor.model_validate_json(since or "")
    except ValidationError:
        cursor = PageCursor()
    reader = await CampaignReader.open(caller, path)
    token = await change_token(reader.node.context)
    # After WHOLE_S, look for nodes that were removed, or that the caller may no longer see.
    if token == cursor.token and abs(time.time() - cursor.at) < WHOLE_S:
        return Response(status_code=204)
    view = await _read_once(reader, agent)
    return json_response(await anyio.to_thread.run_sync(_changes, view, cursor))


@router.get("/replay/{path:path}")
async def replay(path: str, caller: Annotated[Caller, Depends()], agent: str | None = None) -> Response:
    """Return the labels of each refit, by the index of results in the answer of `campaign`, suggestions and moments.

    All are oldest first. A refit has only the labels that differ from those of the refit before. ``first`` are the
    regimes that results got at first. For ``moments`` see `past`.
    """
    reader = await CampaignReader.open(caller, path)
    state = await reader.agent(agent)
    name = state.name
    rows = (await reader.results()).of(name).last(MOST_RESULTS)
    index = {key: i for i, key in enumerate(rows.keys)}
    atlases: list[dict[str, Any]] = []
    known: dict[int, int] = {}
    for created, metadata in await reader.refits(name, min(MOST_REFITS, MOST_LABELS // max(len(index), 1) + 1)):
        current = {index[key]: x for key, x in metadata["labels"].items() if key in index and isinstance(x, int)}
        changed = {str(i): x for i, x in current.items() if known.get(i) != x}
        known |= current
        atlases.append({"t": created, "label": changed})
    suggestions = await reader.suggestions(state, MOST_HISTORY)
    moments = await past(reader, state)
    return json_response(
        {"atlases": atlases, "suggestions": suggestions, "first": rows.numbers("regime"), "moments": moments}
    )


@dataclass(frozen=True)
class _View:
    """Everything that the page of a campaign shows, read at one time. Callers who see the same share it."""

    token: str  #: of the catalog, before the reading
    at: float  #: seconds since 1970, when the reading began
    began: float  #: the same by `time.monotonic`
    took_s: float
    state: AgentState
    rows: NodeRows  #: results of the agent
    lines: NodeRows  #: of its log
    parts: dict[str, Any]  #: parts of the answer besides new results, new lines and health
    checksums: dict[str, int]  #: of the parts
    motors: list[str]
    same: list[Any]  #: see `PageCursor.same`


@dataclass
class _Shared:
    """The last view of a campaign, and the requests that share it."""

    view: _View | None = None
    n_waiting: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def _read_once(reader: CampaignReader, agent: str | None) -> _View:
    """Return a view of a campaign that is as new as this request, read once for all requests that wait for it."""
    caller, came = reader.caller, time.monotonic()
    if not caller.sees_all:
        return await _read(reader, agent)
    kept, key = _views.setdefault(reader.node.context, {}), (reader.path, agent, caller.uuid)
    shared = kept[key] = kept.pop(key, _Shared())
    if len(kept) > MOST_VIEWS:
        del kept[next(iter(kept))]
    shared.n_waiting += 1
    try:
        async with shared.lock:
            view = shared.view
            if view is None or view.began < came:
                if view is not None and shared.n_waiting > 1:  # many pages may not keep a server busy
                    await asyncio.sleep(view.began + PAUSE * view.took_s - time.monotonic())
                view = shared.view = await _read(reader, agent)
            return view
    finally:
        shared.n_waiting -= 1


async def _read(reader: CampaignReader, agent: str | None) -> _View:
    """Read a campaign as the caller may see it."""
    at, began = time.time(), time.monotonic()
    token = await change_token(reader.node.context)
    state = await reader.agent(agent)
    metadata, name = state.metadata, state.name
    rows = (await reader.results()).of(name).last(MOST_RESULTS)
    log = await reader.lines()
    atlas, labels = await reader.labels()
    suggestions = await reader.suggestions(state, MOST_HISTORY)
    commands = await _commands(reader, state)
    axes = mapping(metadata.get("latent"))
    motors = [*mapping(metadata.get("bounds"))] or rows.last(NEWEST).motors()
    parts = await anyio.to_thread.run_sync(_of_results, rows, state, motors, atlas, labels)
    parts |= {
        "agent": name,
        "agent_key": state.key,
        "agents": [other.name for other in reader.agents] or [name],
        "latent": {key: axes.get(key) for key in ("share", "of", "landmarks")} if axes else None,
        **_queue(suggestions, metadata),
        "suggestions": suggestions[-NEWEST_SUGGESTIONS:],
        "commands": commands,
        "held": held_by(metadata.get("held"), commands),
    }
    return _View(
        token=token,
        at=at,
        began=began,
        took_s=time.monotonic() - began,
        state=state,
        rows=rows,
        lines=log.of(name),
        parts=parts,
        checksums={
            name: zlib.crc32(orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)) for name, part in parts.items()
        },
        motors=motors,
        same=[rows.generation, log.generation, name, rows.columns.number[:1].tolist(), axes.get("version"), motors],
    )


def _changes(view: _View, known: PageCursor) -> dict[str, Any]:
    """Return new results, new lines of the log, and the other parts of a campaign that have changed."""
    rows, ids = view.rows, view.rows.columns.number
    # Of the results that the page has, one was removed if there are fewer.
    if whole := known.same != view.same or known.n != (ids <= known.last).sum():
        known = PageCursor()
    is_new = rows.changed > known.version
    results = _columns(rows.at(is_new), view.motors, mapping(view.state.metadata.get("latent"))) | {"n": len(rows)}
    cursor = PageCursor(
        same=view.same,
        n=len(rows),
        last=int(ids.max(initial=0)),
        version=rows.version,
        line=int(view.lines.columns.number.max(initial=-1)),
        parts=view.checksums,
        token=view.token,
        at=view.at,
    )
    return {
        "cursor": cursor.model_dump_json(),
        "whole": whole,
        "results": results if whole else {**results, "index": np.flatnonzero(is_new)},
        "log": _log(view.lines, known.line),
        "health": _health(view.state),
        **{name: part for name, part in view.parts.items() if view.checksums[name] != known.parts.get(name)},
    }


def _of_results(
    rows: NodeRows, state: AgentState, motors: Sequence[str], atlas: int, labels: "pd.Series[float]"
) -> dict[str, Any]:
    """Return the parts of the answer that depend on results."""
    metadata, last = state.metadata, rows.last(NEWEST)
    used = [x for x in rows.columns.column("technique").tolist() if isinstance(x, str)]
    technique = text(metadata.get("technique")) or (used[-1] if used else "")
    alpha, novelty = number(metadata.get("alpha")), mapping(metadata.get("novelty"))
    claims = np.isfinite(rows.numbers("novelty_p")).sum()
    computing = rows.at(rows.columns.column("status") == "computing").last(LATEST)
    return {
        "sample": {
            "motors": motors,
            "units": {**last.units(), **mapping(metadata.get("units"))},
            "bounds": metadata.get("bounds") or {},
            "excluded": metadata.get("excluded") or [],
            "belief": mapping(metadata.get("belief")) or None,
        },
        "newest": _newest(rows),
        "regimes": _regimes(metadata, rows, labels, atlas),
        "novelty": {
            "alpha": alpha,
            "claims": claims,
            "expected_false": None if alpha is None else alpha * claims,
            "flagged": (rows.columns.column("novel") == True).sum(),  # noqa: E712
            "bound": text(novelty.get("bound")),
            "alarm": text(novelty.get("alarm")),
            "reference": text(novelty.get("reference")),
        },
        "computing": [{"key": key, "scan": scan} for key, scan in zip(computing.keys, computing.scans(), strict=True)],
        "technique": technique,
        **_scripts(sorted({*used, technique} - {""})),
    }


def _columns(rows: NodeRows, motors: Sequence[str], axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return results as columns."""
    x, y = (rows.numbers(motor) for motor in [*motors, "", ""][:2])
    u, v = np.ascontiguousarray(_project(rows.columns, axes).T)
    return {
        "key": [*rows.keys],
        "scan": rows.scans(),
        "t": np.round(rows.times(), 1),
        "x": x,
        "y": y,
        **{f"at {motor}": rows.numbers(motor) for motor in motors[2:]},
        "u": u,
        "v": v,
        "p": rows.numbers("novelty_p"),
        "own": rows.numbers("own_p"),
        "novel": rows.numbers("novel"),
        "status": rows.columns.column("status").tolist(),
        "reason": rows.texts("reason"),
        "duration": rows.numbers("frame_time_s") * rows.numbers("n_frames"),
        "of": {name: rows.numbers(name) for name in rows.quantities()},
    }


def _project(results: Columns, axes: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Return embeddings in the two axes that the agent reports; without any, their first two components."""
    projected = np.full((len(results), 2), np.nan, np.float32)
    try:
        middle, directions = (np.asarray(axes[name], float) for name in ("middle", "directions"))
    except (KeyError, TypeError, ValueError):
        usable = results.sizes > 1
        first = (np.cumsum(results.sizes) - results.sizes)[usable]
        projected[usable] = results.points[np.stack([first, first + 1], axis=1)]
        return projected
    usable = results.sizes == middle.size
    if (digest := axes.get("digest")) is not None:
        usable &= results.column("digest") == digest
    projected[usable] = (results.at(usable).points.reshape(-1, middle.size) - middle) @ directions.T
    return projected


def _regimes(metadata: Mapping[str, Any], rows: NodeRows, labels: "pd.Series[float]", atlas: int) -> dict[str, Any]:
    regimes, label = mapping(metadata.get("regimes")), rows.regimes(labels)
    components = _groups(regimes.get("components"))
    new = [int(number) for number in mapping(mapping(metadata.get("novelty")).get("discoveries")) if number.isdecimal()]
    kinds = regime_kinds(label, rows.texts("nearest_known"), rows.numbers("novel"), new, components)
    return {
        "atlas": atlas,
        "names": metadata.get("names") or {},
        "supported": regimes.get("supported"),
        "sentences": [text(sentence) for sentence in regimes.get("sentences") or []],
        "label": label,
        "kinds": {str(regime): kind for regime, kind in kinds.items()},
    }


def _groups(value: Any) -> list[list[int]]:
    """Return lists of numbers as an agent has written them; anybody can write a node."""
    known = [x for x in value if isinstance(x, list)] if isinstance(value, list) else []
    return [group for x in known if (group := [n for n in x if isinstance(n, int)])]


def _newest(rows: NodeRows) -> dict[str, Any] | None:
    """Return the newest usable result and those most similar to it, so that a page need not ask before it draws."""
    last = rows.last(LATEST)
    done = last.at(np.isin(last.columns.column("status").astype(object), ResultRecord.usable))
    if not len(done):
        return None
    key = str(done.keys[int(np.nan_to_num(done.times()).argmax())])
    return {"key": key, "nearest": [*nearest(rows, key)]}


def _queue(
    suggestions: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]
) -> dict[str, dict[str, Any] | list[dict[str, Any]] | None]:
    """Return the suggestion that is measured, the next one, and those that wait, in the order that the agent reports.

    The agent reports its queue soon after it has changed. Until then a suggestion may have become the next one that is
    not in that queue: the newest one that the agent itself has proposed.
    """
    by_id = {each["id"]: each for each in suggestions}
    measuring = by_id.get(metadata.get("measuring"))
    is_open = measuring is not None and measuring["status"] in ("accepted", "taken")
    reported = [by_id[id] for id in metadata.get("queue") or [] if id in by_id and by_id[id] is not measuring]
    queue = [each for each in reported if each["status"] in ("proposed", "accepted")]
    if not queue:
        own = (each for each in reversed(suggestions) if each["status"] == "proposed")
        queue = [each for each in (next(own, None),) if each is not None]
    shown = [_waiting(each) for each in queue]
    first = next((each for each in shown if each["taken_by"]), None) if metadata.get("review") else None
    return {
        "measuring": {**measuring} if measuring is not None and is_open else None,
        "next": first or next(iter(shown), None),
        "queue": shown,
    }


def _waiting(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    """Return a suggestion that waits, with who took it."""
    return {**suggestion, "taken_by": suggestion["status_by"] if suggestion["status"] == "accepted" else None}


def _log(lines: NodeRows, since: int) -> dict[str, Any]:
    new = lines.at(lines.columns.number > since).last(NEWEST_LINES)
    shown = [
        {
            "key": key,
            "t": seconds(line["created"]),
            **{name: text(line.get(name)) for name in ("text", "agent", "result")},
        }
        for key, line in new.metadata()
    ]
    return {"lines": shown, "before": len(lines) - len(new)}


async def _commands(reader: CampaignReader, state: AgentState) -> list[dict[str, Any]]:
    """Return the requests of people that wait for the agent, and the newest that it has answered; oldest first."""
    nodes = [await reader.child("agents", state.key, name) for name in ("holds", "commands")] if state.key else []
    commands = [
        summarize_command(child.key, child.metadata)
        for node in nodes
        if node is not None
        for child in await newest(node, MOST_COMMANDS)
    ]
    waiting = [each for each in commands if each["status"] == "asked"]
    answered = [each for each in commands if each["status"] != "asked"][:NEWEST_COMMANDS]
    return sorted([*waiting, *answered], key=lambda command: command["t"] or 0.0)


def _health(state: AgentState) -> dict[str, Any] | None:
    if not state.key:
        return None
    return {
        **dict.fromkeys(("run", "waits")),  # Tiled does not store None
        **mapping(state.metadata.get("health")),
        "heard": state.reported,
        "now": time.time(),
        "explored": text(state.metadata.get("explored")),
    }


def _scripts(techniques: Sequence[str]) -> dict[str, Any]:
    """Return the scripts of techniques, and the array of a result that is shown as its small picture."""
    views = {name: f"/custom/ainerd/technique/{name}/view.js" for name in techniques if view_script(name)}
    pictures = {name: getattr(panels(name), "thumbnail", None) for name in techniques}
    return {"views": views, "thumbnail": {name: picture for name, picture in pictures.items() if picture}}


MOST_EVENTS = 5_000  # that are folded, in some seconds; of a longer campaign the moments are not shown
MOST_QUEUE = 20  # suggestions of a queue
_NUMBER = re.compile(r"[0-9]{8}")
# Of each catalog by agent: id of the newest event, and the moments. They are folded once, one agent at a time.
_folded: "WeakKeyDictionary[Any, dict[str, tuple[int, list[dict[str, Any]]]]]" = WeakKeyDictionary()
_turns: "WeakKeyDictionary[Any, asyncio.Lock]" = WeakKeyDictionary()


async def past(reader: CampaignReader, state: AgentState) -> list[dict[str, Any]]:
    """Return the changes that the events of an agent made, oldest first; empty if there are too many events.

    Each change has the time ``t`` of its event, and new values of some of ``bounds``, ``excluded``, ``names``, ``held``
    and ``queue``, the ids of the waiting suggestions.
    """
    node = await reader.child("events", state.key) if state.key else None
    if node is None:
        return []
    catalog = reader.node.context
    async with _turns.setdefault(catalog, asyncio.Lock()):
        last, _ = await newest_key(node)
        folded = _folded.setdefault(catalog, {})
        if state.key not in folded or folded[state.key][0] != last:
            children = await newest(node, MOST_EVENTS)
            moments = list[dict[str, Any]]()
            if len(children) < MOST_EVENTS:
                bounds = mapping(state.metadata.get("bounds"))
                moments = await anyio.to_thread.run_sync(_moments, children, bounds)
            folded[state.key] = last, moments
        return folded[state.key][1]


def _moments(children: Sequence[Child], bounds: Mapping[str, Any]) -> list[dict[str, Any]]:
    from ainerd.decisions import Rules, moments  # loads packages that only this needs
    from ainerd.steering import Window

    try:
        window = Window({name: (float(low), float(high)) for name, (low, high) in bounds.items()})
    except (TypeError, ValueError):  # another program wrote the state
        return []
    records = sorted((int(each.key), each.metadata) for each in children if _NUMBER.fullmatch(each.key))
    known, changes = dict[str, Any](), list[dict[str, Any]]()
    for moment in moments(records, Rules(session="", window=window)):
        after, area = moment.after, moment.after.window
        now = {
            "bounds": area.bounds, "excluded": area.excluded,
            "names": {str(regime): name for regime, name in after.names.items()},
            "held": after.held,
            "queue": [each.id for each in after.waiting[:MOST_QUEUE]],
        }  # fmt: skip
        if changed := {name: x for name, x in now.items() if name not in known or known[name] != x}:
            changes.append({"t": moment.event.t, **changed})
        known = now
    return changes
