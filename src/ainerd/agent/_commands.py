"""Commands that people, plans and scripts in other processes leave in Tiled for an agent."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import wait
from datetime import datetime
from functools import partial
from typing import Any

from ainerd.campaign import Campaign
from ainerd.decisions import Answer
from ainerd.jobs import in_background
from ainerd.results import AgentNode, ResultStore, Stream, TiledError
from ainerd.results.commands import parse_command

logger = logging.getLogger(__name__)

NEXT = "next"
LIVELY_S = 60.0  # after a command, within which a person probably gives another one
CLOSE_S = 5.0  # longest wait for the streams at the end


class CommandReader:
    """Reads the commands to an agent, applies them to its campaign, and writes the answers.

    The thread that asks Tiled looks for commands before its other jobs, as soon as Tiled tells of one; the agent calls
    `look` every few seconds as well. The thread that owns the campaign executes commands, before other jobs. Commands
    that must wait are executed again after each result and each change, without a request. A command that is executed
    is an event in Tiled, and then the campaign writes the answer. So after a crash the next session finds the event
    there, or executes the command. A session that does not steer leaves commands alone.

    Any program can write any node. A command that cannot be executed is refused, and the next one is executed.

    Parameters
    ----------
    store : ResultStore
        Store of the agent.
    node : AgentNode
    campaign : Campaign
    answered : callable
        Called after each answer.
    """

    def __init__(self, store: ResultStore, node: AgentNode, campaign: Campaign, answered: Callable[[], None]) -> None:
        self._store, self._node, self._campaign, self._answered = store, node, campaign, answered
        # commands without an answer in Tiled, in their order, by container and key
        self._waiting: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._found_at = dict[tuple[str, str], float]()  # on the clock of `time.monotonic`
        self._left: Collection[tuple[str, str]] | None = None  # those that had waited for this session
        self._is_told = False  # Tiled has told of a command, and nobody has looked yet
        self._lively_until = 0.0  # until when a person may give more commands
        self._streams: list[Stream] = []

    def start(self) -> None:
        """Listen to Tiled."""
        self._streams = self._node.listen(self._told)

    def wake(self) -> None:
        """Execute the commands that wait, if there are any."""
        if self._waiting:
            self._campaign.own.submit(self.execute)

    def must_look(self, is_awaited: bool) -> bool:
        """Return whether to look every second: Tiled tells of no command, and one is awaited, or came just now."""
        hears = bool(self._streams) and all(stream.hears for stream in self._streams)
        return not hears and (is_awaited or time.monotonic() < self._lively_until)

    def close(self) -> None:
        """Listen no longer."""
        wait([in_background("ainerd-stream-end", stream.close) for stream in self._streams], CLOSE_S)
        self._answered = lambda: None  # may refer to the owner of this object: without it all parts are freed at once

    def look(self) -> None:
        """Find and execute the waiting commands. Can be called from any thread."""
        self._is_told = False
        if self._store.seems_away or not self._campaign.steers:
            return
        try:
            self._waiting = dict(self._node.commands())
        except TiledError as error:
            logger.debug("commands are not read: %s", error)
            return
        self._left = {*self._waiting} if self._left is None else self._left
        self._found_at = {place: self._found_at.get(place, time.monotonic()) for place in self._waiting}
        if self._waiting:
            self._lively_until = time.monotonic() + LIVELY_S
            self._campaign.own.ask(self.execute)

    def _age_s(self, place: tuple[str, str], created: str) -> float:
        if place in (self._left or ()):
            return time.time() - datetime.fromisoformat(created).timestamp()
        return time.monotonic() - self._found_at.get(place, time.monotonic())

    def execute(self, *_: object) -> None:
        """Execute the commands that wait. Called in the thread of the campaign, also after each result."""
        if not self._campaign.steers:
            return
        waiting, before = list(self._waiting.items()), self._campaign.state
        nexts = [place for place, metadata in waiting if metadata.get("do") == NEXT]
        for place, metadata in waiting:
            answer = self._apply(place, metadata)
            if answer.status == "waits" and place in nexts[:-1]:  # its sender is gone
                answer = Answer(status="refused", text="a later command asks for the next position")
            if answer.status == "waits":
                continue
            if self._campaign.state.answer(place[1]) is None:  # it is no event
                self._waiting.pop(place, None)
                self._campaign.tiled.write(partial(self._reply, place, answer), first=True)
            elif before.answer(place[1]) is None:
                self._answered()

    def _told(self) -> None:
        if not self._is_told:
            self._is_told = True
            self._campaign.tiled.write(self.look, first=True)

    def _apply(self, place: tuple[str, str], metadata: Mapping[str, Any]) -> Answer:
        container, key = place
        try:
            command = parse_command({**metadata, "id": key})
            return self._campaign.apply(command, container=container, age_s=self._age_s(place, command.created))
        except ValueError as error:  # any program can write a node
            return Answer(status="refused", text=str(error)[:300])
        except Exception as error:
            logger.exception("command %s is refused", key)
            why = f"the agent cannot execute this: {type(error).__name__}: {error}"
            return Answer(status="refused", text=why[:300])

    def _reply(self, place: tuple[str, str], answer: Answer) -> None:
        """Write an answer. If that fails, the next `look` finds the command again."""
        try:
            self._node.answer(*place, answer.status, answer.text, answer.fetched)
        except TiledError as error:
            logger.debug("the answer to a command is not written: %s", error)
