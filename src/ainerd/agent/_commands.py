"""Commands that people, plans and scripts in other processes leave in Tiled for an agent."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import wait
from datetime import datetime
from functools import partial
from typing import NamedTuple

from ainerd.campaign import Campaign
from ainerd.decisions import Answer
from ainerd.jobs import in_background
from ainerd.results import AgentNode, ResultStore, Stream, TiledError, commands

logger = logging.getLogger(__name__)

Place = tuple[str, str]  # container and key of a command
LIVELY_S = 60.0  # after a command, within which a person probably gives another one
CLOSE_S = 5.0  # longest wait for the streams at the end


class Waiting(NamedTuple):
    """A command, and when it was given, on the clock of `time.monotonic`."""

    place: Place
    command: commands.Command
    since: float


class CommandReader:
    """Reads the commands to an agent, applies them to its campaign, and writes the answers.

    The thread that asks Tiled looks for commands before its other jobs, as soon as Tiled tells of one; the agent calls
    `look` every few seconds as well. The thread that owns the campaign executes commands, before other jobs. Commands
    that must wait are executed again after each result and each change, without a request. A command that is executed
    is a change in Tiled, and then the campaign writes the answer. So after a crash the next session finds the change
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
        self._waiting: dict[Place, Waiting] = {}  # commands that must wait, in their order
        self._done = set[Place]()  # commands that were executed, whose answers may not be in Tiled
        self._left: Collection[Place] | None = None  # those that had waited for this session
        self._is_told = False  # Tiled has told of a command, and nobody has looked yet
        self._lively_until = 0.0  # until when a person may give more commands
        self._streams: list[Stream] = []

    def start(self) -> None:
        """Listen to Tiled."""
        self._streams = self._node.listen(self._told)

    def wake(self) -> None:
        """Try the commands that must wait again, if there are any."""
        if self._waiting:
            self._campaign.own.submit(self._execute)

    def must_look(self, is_awaited: bool) -> bool:
        """Return whether to look every second: Tiled tells of no command, and one is awaited, or came just now."""
        hears = bool(self._streams) and all(stream.hears for stream in self._streams)
        return not hears and (is_awaited or time.monotonic() < self._lively_until)

    def close(self) -> None:
        """Listen no longer."""
        wait([in_background("ainerd-stream-end", stream.close) for stream in self._streams], CLOSE_S)
        self._answered = lambda: None  # may refer to the owner of this object: without it all parts are freed at once

    def look(self) -> None:
        """Find the new commands, and execute them. Called in the thread for Tiled."""
        self._is_told = False
        if not self._campaign.steers:
            self._left = None  # commands wait, until this session takes over
        if self._store.seems_away or not self._campaign.steers:
            return
        try:
            found = dict(self._node.commands())
        except TiledError as error:
            logger.debug("commands are not read: %s", error)
            return
        self._left = {*found} if self._left is None else self._left
        self._done &= {*found}  # the answers of the others are in Tiled
        new = [place for place in found if place not in self._waiting and place not in self._done]
        if found:
            self._lively_until = time.monotonic() + LIVELY_S
        if found or self._waiting:
            parsed = [each for place in new if (each := self._parsed(place, found[place])) is not None]
            self._campaign.own.ask(partial(self._execute, parsed, {*found}))

    def _execute(self, new: Sequence[Waiting] = (), there: Collection[Place] | None = None) -> None:
        """Execute new commands, and those that must wait, which are still `there`. Called in the campaign's thread."""
        if not self._campaign.steers:
            return
        waiting = {place: each for place, each in self._waiting.items() if there is None or place in there}
        waiting |= {each.place: each for each in new}
        nexts = [place for place, each in waiting.items() if isinstance(each.command, commands.Next)]
        still = dict[Place, Waiting]()
        for place, each in waiting.items():
            answer = self._apply(each)
            if answer.status == "waits" and place in nexts[:-1]:  # its sender is gone
                answer = Answer(status="refused", text="a later command asks for the next position")
            if answer.status == "waits":
                still[place] = each
            elif self._campaign.state.answer(each.command.id) is None:  # it is no change
                self._refuse(place, answer.text)
            else:
                self._done.add(place)
                self._answered()
        self._waiting = still

    def _told(self) -> None:
        if not self._is_told:
            self._is_told = True
            self._campaign.tiled.write(self.look, first=True)

    def _parsed(self, place: Place, values: Mapping[str, object]) -> Waiting | None:
        """Return the command of a node; refuse a node that holds no command."""
        try:
            command, age_s = commands.parse_command({**values, "id": place[1]}), 0.0
            if place in (self._left or ()):
                age_s = time.time() - datetime.fromisoformat(command.created).timestamp()
            return Waiting(place, command, time.monotonic() - age_s)
        except ValueError as error:  # any program can write a node
            self._refuse(place, str(error))
            return None

    def _apply(self, each: Waiting) -> Answer:
        try:
            return self._campaign.apply(each.command, container=each.place[0], age_s=time.monotonic() - each.since)
        except ValueError as error:
            return Answer(status="refused", text=str(error)[:300])
        except Exception as error:
            logger.exception("command %s is refused", each.command.id)
            why = f"the agent cannot execute this: {type(error).__name__}: {error}"
            return Answer(status="refused", text=why[:300])

    def _refuse(self, place: Place, why: str) -> None:
        """Refuse a command that is no change. If Tiled does not answer, the next `look` finds it again."""
        self._done.add(place)

        def write() -> None:
            try:
                self._node.answer(*place, "refused", why[:300])
            except TiledError as error:
                self._done.discard(place)
                logger.debug("the answer to a command is not written: %s", error)

        self._campaign.tiled.write(write, first=True)
