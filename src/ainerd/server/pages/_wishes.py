"""What people ask of an agent: take a suggestion or reject it, hold, exclude a box, add a point, name a regime.

A wish is a node below that of the agent, which reads those that wait in one request and says what became of each. One
that takes or rejects a suggestion has its key from it, so that of two people one is first, whatever server they are on.
"""

import math
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from tiled.catalog.adapter import Collision
from tiled.server.schemas import Spec
from tiled.structures.core import StructureFamily

from ainerd.results import LogRecord, utc_now
from ainerd.server._access import READ, WRITE, validated
from ainerd.server._access import Caller as Asked
from ainerd.server._access import json_body as said
from ainerd.server.pages._node_cache import newest
from ainerd.server.pages._reader import AgentState
from ainerd.server.pages._reader import CampaignReader as Sources
from ainerd.server.pages._summaries import number, seconds, text
from ainerd.server.pages._summaries import summarize_suggestion as short_suggestion

MOST_WAITING = 100
LONGEST_NAME = 60
Limits = tuple[float, float]
router = APIRouter()


class Wish(BaseModel):
    """What a person sends."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    do: Literal["take", "reject", "hold", "release", "exclude", "add", "name"]
    agent: str = Field(max_length=200)
    who: str = Field(default="", max_length=200)
    why: str = Field(default="", max_length=500)
    suggestion: str = Field(default="", max_length=100)
    region: dict[str, Limits] = Field(default_factory=dict, max_length=10)
    position: dict[str, float] = Field(default_factory=dict, max_length=10)
    regime: int = Field(default=-1, ge=-1, lt=1_000_000)
    name: str = Field(default="", max_length=LONGEST_NAME)

    def wrong(self, bounds: Mapping[str, Any]) -> str | None:
        """What is missing, or cannot be, for an agent with these bounds."""
        match self.do:
            case "take" | "reject" if not re.fullmatch(r"[0-9A-Za-z_-]+", self.suggestion):
                return "say which suggestion"
            case "reject" if not self.why.strip():
                return "say why not: the next one is chosen without it, and the log says so"
            case "exclude" if not self.region or not set(self.region) <= set(bounds):
                return f"a box has limits of {', '.join(bounds)}"
            case "exclude" if any(not low < high for low, high in self.region.values()):
                return "a limit of the box is the wrong way round, or has no width"
            case "add" if set(self.position) != set(bounds):
                return f"a position has {', '.join(bounds)}"
            case "add" if any(not bounds[name][0] <= x <= bounds[name][1] for name, x in self.position.items()):
                return "the position lies outside the bounds"
            case "name" if self.regime < 0:
                return "say which regime"
        return None


class Note(BaseModel):
    """What a person notes on a result."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(pattern=r"^[0-9A-Za-z_-]{1,100}$")
    text: str = Field(min_length=1, max_length=2000)
    who: str = Field(default="", max_length=200)


@router.post("/wish/{path:path}")
async def wish(request: Request, path: str, asked: Annotated[Asked, Depends()]) -> dict[str, Any]:
    """Keep what a person asks of an agent; 409 if somebody was first."""
    asks = validated(Wish, await said(request))
    by = _by(asked, asks.who)
    sources = await Sources.open(asked, path)
    state = await sources.agent(asks.agent)
    if not state.key:
        raise HTTPException(409, f"no agent {asks.agent[:60]!r} listens here")
    agent = await asked.node(path, "agents", state.key, scopes=(READ, WRITE))
    if wrong := asks.wrong(_bounds(state)):
        raise HTTPException(422, wrong)
    record: dict[str, Any] = {
        "do": asks.do, "agent": state.name, "by": by, "verified": asked.principal is not None, "principal": asked.uuid,
        "why": _plain(asks.why), "created": utc_now(), "status": "asked",
    }  # fmt: skip
    if asks.do in ("take", "reject"):
        return await _verdict(sources, agent, asks, record)
    if sum(known.get("status") == "asked" for _, _, known in await newest(agent, 2 * MOST_WAITING)) >= MOST_WAITING:
        raise HTTPException(429, f"{MOST_WAITING} wishes wait already: is the agent there?")
    more: dict[str, dict[str, Any]] = {
        "exclude": {"region": asks.region},
        "add": {"position": asks.position},
        "name": {"regime": asks.regime, "name": _plain(asks.name)},
    }
    key = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    await _make(asked, agent, key, {**record, **more.get(asks.do, {})}, "AinerdWish")
    return _answered(key, record)


@router.post("/note/{path:path}")
async def note(request: Request, path: str, asked: Annotated[Asked, Depends()]) -> dict[str, Any]:
    """Note something on a result, in the log."""
    wants = validated(Note, await said(request))
    by = _by(asked, wants.who)
    log = await asked.node(path, "log", scopes=(READ, WRITE))
    result = (await asked.node(path, "results", wants.key)).metadata()
    scan = "?" if result.get("scan_id") is None else result["scan_id"]
    ids = {"kind": "note", "note": _plain(wants.text), "raw_uid": result.get("raw_uid"), "result": wants.key, "by": by}
    line = LogRecord.model_validate({"text": f"{by} noted on scan {scan}: {_plain(wants.text)}", "ids": ids})
    await _make(asked, log, f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}", line.metadata(), "AinerdLog")
    return {"by": by, "verified": asked.principal is not None}


async def _verdict(sources: Sources, agent: Any, asks: Wish, record: dict[str, Any]) -> dict[str, Any]:
    """Take or reject: the first one counts."""
    asked = sources.caller
    try:
        node = await asked.node(sources.path, "suggestions", asks.suggestion, scopes=(READ, WRITE))
    except HTTPException as error:
        raise HTTPException(error.status_code, "there is no such suggestion") from None
    metadata = dict(node.metadata())
    suggestion = short_suggestion(asks.suggestion, metadata)
    if suggestion is None or suggestion["agent"] not in (None, record["agent"]):
        raise HTTPException(422, f"that is no suggestion of agent {record['agent'][:60]!r}")
    if asks.do == "take" and asked.uuid is not None and suggestion["principal"] == asked.uuid:
        raise HTTPException(403, "the principal that proposed it cannot approve it")
    key = f"verdict-{asks.suggestion}"
    if suggestion["status"] != "proposed":
        # Newer results replace a suggestion within a second; who has just seen it may still take it.
        replaced = suggestion["status"] == "superseded" and asks.do == "take"
        if not replaced or await sources.child("agents", agent.key, key):
            raise _too_late(suggestion["status"], suggestion["status_by"], suggestion["status_time"])
    about = {name: suggestion[name] for name in ("position", "reason", "terms", "proposed_by")}
    try:
        await _make(asked, agent, key, {**record, "suggestion": asks.suggestion, **about}, "AinerdWish")
    except Collision:
        first = (await asked.node(sources.path, "agents", agent.key, key)).metadata()
        status = "accepted" if first.get("do") == "take" else "rejected"
        raise _too_late(status, first.get("by"), seconds(first.get("created"))) from None
    status = {"take": "accepted", "reject": "rejected"}[asks.do]
    told = {"status_by": _signed(record), "status_reason": record["why"] or None, "status_time": record["created"]}
    changed = {**metadata, "status": status, **told}
    changed = {name: x for name, x in changed.items() if x is not None}
    await node.replace_metadata(metadata=changed, specs=node.specs, drop_revision=False)  # who and when stay findable
    return _answered(key, record)


def short_wish(key: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """A wish as the pages show it."""
    found: dict[str, Any] = {"id": key, "verified": bool(said.get("verified")), "t": seconds(said.get("created"))}
    for name in ("do", "by", "why", "status", "answer", "suggestion", "name"):
        if said.get(name) is not None or name in ("do", "by", "why", "status", "answer"):
            found[name] = text(said.get(name))
    for name in ("region", "position"):
        if isinstance(said.get(name), Mapping):
            found[name] = said[name]
    return {**found, "regime": said["regime"]} if isinstance(said.get("regime"), int) else found


def is_final_wish(wish: Mapping[str, Any]) -> bool:
    """Whether an agent has answered."""
    return wish["status"] != "asked"


def held_by(held: Any, wishes: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Who holds the agent, as it says itself or as somebody has just asked."""
    asked = [wish for wish in wishes if wish["do"] in ("hold", "release") and wish["status"] == "asked"]
    if asked:
        last = asked[-1]
        return {**{n: last[n] for n in ("by", "why", "t")}, "pending": True} if last["do"] == "hold" else None
    if not isinstance(held, Mapping):
        return None
    return {"by": text(held.get("by")), "why": text(held.get("why")), "t": number(held.get("t")), "pending": False}


def _by(asked: Asked, who: str) -> str:
    """Who writes: the principal, or else what the person typed."""
    by = asked.name or _plain(who)[:LONGEST_NAME].strip()
    if not by:
        raise HTTPException(422, "say who you are")
    return by


def _signed(record: Mapping[str, Any]) -> str:
    return record["by"] if record["verified"] else f"{record['by']} (unverified)"


def _plain(said: str) -> str:
    """A line of text without what no keyboard types."""
    return "".join(c for c in " ".join(said.split()) if c.isprintable())


def _bounds(state: AgentState) -> dict[str, tuple[float, float]]:
    found = state.metadata.get("bounds")
    return {name: (float(low), float(high)) for name, (low, high) in found.items()} if isinstance(found, dict) else {}


def _too_late(status: str, by: Any, when: float | None) -> HTTPException:
    did = {"accepted": "took", "rejected": "rejected", "measured": "measured"}.get(status)
    clock = "" if when is None or not math.isfinite(when) else f" at {datetime.fromtimestamp(when):%H:%M:%S}"
    words = f"{text(by)} {did} it{clock}" if did and by else f"the suggestion is {status}{clock}"
    return HTTPException(409, {"said": words, "by": text(by), "status": status})


def _answered(key: str, record: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": key, **{name: record[name] for name in ("do", "by", "verified", "status")}}


async def _make(asked: Asked, parent: Any, key: str, metadata: dict[str, Any], spec: str) -> None:
    known = {name: x for name, x in metadata.items() if x is not None}
    await parent.create_node(
        structure_family=StructureFamily.container,
        metadata=known,
        key=key,
        specs=[Spec(name=spec, version="1.0")],
        access_tags=await asked.new_tags(),
    )
