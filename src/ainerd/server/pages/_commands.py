"""Routes by which people send commands to an agent: take, reject, take back, hold, release, exclude, add, and so on.

A command waits in a node below that of the agent, which executes it and writes the answer there. The key of a verdict
on a suggestion comes from the suggestion, so that of two people one is first, on any server of the catalog.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from ainerd.results import SuggestionRecord, commands
from ainerd.results.commands import Add, Command, Exclude, Reject, Take
from ainerd.server._access import json_body, validated
from ainerd.server.internals import Caller, Collision, Spec, newest
from ainerd.server.pages._reader import AgentState, CampaignReader, mapping, number, seconds, summarize_suggestion, text

MOST_WAITING = 100
LONGEST_ANSWER_S = 25.0  # proxies end requests that take longer
POLL_S = 0.05
MISSED_S = 1.0  # after which an agent asks itself, if another process of the server may have the command
LONGEST_NAME, LONGEST_WHY = 60, 500
# Commands that a page may send, and their fields.
FIELDS = {
    "take": {"suggestion", "seen"}, "reject": {"suggestion", "seen"}, "hold": set[str](), "release": set[str](),
    "take_back": {"suggestion"},
    "exclude": {"region"}, "add": {"position"}, "name": {"regime", "name"},
}  # fmt: skip
router = APIRouter()


class SentCommand(BaseModel):
    """A command as a page sends it; the other fields depend on `do`."""

    model_config = ConfigDict(extra="allow")

    do: str
    agent: str = Field(max_length=200)
    who: str = Field(default="", max_length=200)
    why: str = Field(default="", max_length=LONGEST_WHY)

    def command(self, by: str) -> Command:
        """Return the typed command; raise HTTPException 422 unless a page may send this command."""
        fields = self.model_extra or {}
        if unknown := set(fields) - FIELDS.get(self.do, set()):
            raise HTTPException(422, f"{sorted(unknown)[0][:60]}: not a field of {self.do[:60]!r}")
        if self.do not in FIELDS:
            raise HTTPException(422, f"do is one of {', '.join(FIELDS)}")
        named = {name: _plain(x) if isinstance(x, str) else x for name, x in fields.items()}
        try:
            return commands.parse_command({"do": self.do, "why": _plain(self.why), **named, "by": by})
        except ValueError as error:
            raise HTTPException(422, str(error)) from None


class SentNote(BaseModel):
    """A person's note on a result."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(pattern=r"^[0-9A-Za-z_-]{1,100}$")
    text: str = Field(min_length=1, max_length=2000)
    who: str = Field(default="", max_length=200)


@router.post("/command/{path:path}")
async def send_command(request: Request, path: str, caller: Annotated[Caller, Depends()]) -> dict[str, Any]:
    """Leave a command for an agent; answer 409 if another sender was first."""
    sent = validated(SentCommand, await json_body(request))
    command = sent.command(_by(caller, sent.who))
    reader = await CampaignReader.open(caller, path)
    state = await reader.agent(sent.agent)
    if not state.key:
        raise HTTPException(409, f"no agent {sent.agent[:60]!r} listens here")
    agent = await caller.steered(path, "agents", state.key, commands.container_of(command))
    try:
        _check(command, _bounds(state))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    if isinstance(command, Take | Reject):
        await _create_verdict(reader, agent, state, command)
    else:
        waiting = [child.metadata for child in await newest(agent, 2 * MOST_WAITING)]
        if sum(metadata.get("status") == "asked" for metadata in waiting) >= MOST_WAITING:
            raise HTTPException(429, f"{MOST_WAITING} commands wait already: is the agent there?")
        try:
            await _send(reader, agent, command, state.name)
        except Collision:
            first = (await caller.node(path, "agents", state.key, "commands", command.id)).metadata()
            refused = f"it cannot be taken back: {text(first.get('answer'))}"
            already = "somebody has taken it back already"
            raise HTTPException(409, refused if first.get("status") == "refused" else already) from None
    return {"id": command.id, "do": command.do, "by": command.by, "status": "asked"}


@router.post("/note/{path:path}")
async def note(request: Request, path: str, caller: Annotated[Caller, Depends()]) -> dict[str, Any]:
    """Write a note on a result to the log."""
    sent = validated(SentNote, await json_body(request))
    by = _by(caller, sent.who)
    log = await caller.steered(path, "log")
    result = (await caller.node(path, "results", sent.key)).metadata()
    scan = "?" if result.get("scan_id") is None else str(result["scan_id"])
    of_it = {"scan": scan, "raw_uid": result.get("raw_uid"), "result": sent.key}
    line = commands.Note.model_validate({"text": _plain(sent.text), **of_it, "by": by}).line()
    await _create(caller, log, commands.new_id(), line.metadata(), "AinerdLog")
    return {"by": by}


async def _create_verdict(reader: CampaignReader, agent: Any, state: AgentState, verdict: Take | Reject) -> None:
    """Leave a verdict on a suggestion; the first one counts, and only for the state that its sender saw."""
    caller, name = reader.caller, state.name
    try:
        node = await caller.steered(reader.path, "suggestions", verdict.suggestion)
    except HTTPException as error:
        raise HTTPException(error.status_code, "there is no such suggestion") from None
    stored = dict(node.metadata())
    if SuggestionRecord.problem(stored) or stored.get("agent") not in (None, name):
        raise HTTPException(422, f"this is not a suggestion of agent {name[:60]!r}")
    suggestion = summarize_suggestion(verdict.suggestion, stored, state)
    if suggestion["status"] != "proposed":
        # Newer results replace a suggestion within a second; a person who has just seen it may still take it.
        replaced = suggestion["status"] == "superseded" and verdict.do == "take"
        if not replaced or await reader.child("agents", state.key, "commands", verdict.id):
            raise _too_late(suggestion["status"], suggestion["status_by"], suggestion["status_time"])
    if verdict.seen != suggestion["seen"]:
        raise HTTPException(409, "the suggestion differs from the one that you saw: look again, and decide on that")
    of_it = {"position": suggestion["position"], "terms": suggestion["terms"], "reason": suggestion["reason"] or ""}
    try:
        await _send(reader, agent, verdict.model_copy(update=of_it), name)
    except Collision:
        first = (await caller.node(reader.path, "agents", state.key, "commands", verdict.id)).metadata()
        status = "accepted" if first.get("do") == "take" else "rejected"
        raise _too_late(status, first.get("by"), seconds(first.get("created"))) from None


def _check(command: Command, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Raise ValueError if a command has no reason where one is needed, or does not fit an agent with these bounds."""
    match command:
        case Reject() if not command.why:
            raise ValueError("give a reason: it goes into the log")
        case Exclude() if not command.region or not set(command.region) <= set(bounds):
            raise ValueError(f"a box has limits of {', '.join(bounds)}")
        case Exclude() if any(low >= high for low, high in command.region.values()):
            raise ValueError("a limit of the box is the wrong way round, or has no width")
        case Add():
            commands.check_position(command.position, bounds)


def summarize_command(key: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command as the pages show it."""
    return {
        "id": key,
        "t": seconds(metadata.get("created")),
        "regime": number(metadata.get("regime")),
        **{name: text(metadata.get(name)) for name in ("do", "by", "why", "status", "answer", "suggestion", "name")},
        **{name: mapping(metadata.get(name)) or None for name in ("region", "position")},
    }


def held_by(held: Any, sent: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return who holds the agent, by its own report or by a command that waits."""
    waiting = [each for each in sent if each["do"] in ("hold", "release") and each["status"] == "asked"]
    if waiting:
        last = waiting[-1]
        return {**{n: last[n] for n in ("by", "why", "t")}, "pending": True} if last["do"] == "hold" else None
    if not isinstance(held, Mapping):
        return None
    return {"by": text(held.get("by")), "why": text(held.get("why")), "t": number(held.get("t")), "pending": False}


def _by(caller: Caller, who: str) -> str:
    """Return the name of the sender: the principal, or else the name that the person typed."""
    by = caller.name or _plain(who)[:LONGEST_NAME].strip()
    if not by:
        raise HTTPException(422, "give your name")
    return by


def _plain(line: str) -> str:
    """Return a line of text without characters that no keyboard types."""
    return "".join(c for c in " ".join(line.split()) if c.isprintable())


def _bounds(state: AgentState) -> dict[str, tuple[float, float]]:
    bounds = state.metadata.get("bounds")
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()} if isinstance(bounds, dict) else {}


def _too_late(status: str, by: Any, when: float | None) -> HTTPException:
    verb = {"accepted": "took", "rejected": "rejected", "measured": "measured"}.get(status)
    clock = "" if when is None or not math.isfinite(when) else f" at {datetime.fromtimestamp(when):%H:%M:%S}"
    words = f"{text(by)} {verb} it{clock}" if verb and by else f"the suggestion is {status}{clock}"
    return HTTPException(409, {"reason": words, "by": text(by), "status": status})


async def _send(reader: CampaignReader, agent: Any, command: Command, name: str) -> None:
    """Leave a command for an agent."""
    await _create(reader.caller, agent, command.id, commands.command_metadata(command, name), "AinerdCommand")


async def _create(caller: Caller, parent: Any, key: str, metadata: dict[str, Any], spec: str) -> None:
    given = {name: x for name, x in metadata.items() if x is not None}
    await caller.create(parent, key, given, [Spec(name=spec, version="1.0")])
