"""Commands that people, plans and scripts in other processes leave in Tiled for an agent."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import httpx

from ainerd.campaign import Campaign
from ainerd.decisions import Answer
from ainerd.jobs import in_background
from ainerd.results import AgentNode, ResultStore
from ainerd.results.commands import parse_command

logger = logging.getLogger(__name__)

LISTEN_S = 0.5  # between two looks at waiting commands, if the server does not tell of them
NEWS_S, WAITING_S = 5.0, 1.0  # between two looks if it does; while a command waits
NEXT = "next"
TAKE = (NEXT, "accept")  # commands that take the position that is ready
STUCK_S = 30.0  # a look or a command that takes longer is reported
CLOSE_S = 5.0  # longest wait for the thread at the end
LATE_S = 2.0  # age of a command after which any session writes its answer, if the events have it


class _Waiting(NamedTuple):
    metadata: Mapping[str, Any]
    since: float  # on the clock of `time.monotonic`


class CommandReader:
    """Reads the commands to an agent, applies them to its campaign, and writes the answers.

    A thread looks for commands, and for the decisions of other sessions, as soon as the server tells of one, and every
    few seconds. A server without our routes is asked for commands each half second, and for decisions each second. The
    thread that owns the campaign executes commands, before other jobs. Commands that must wait are executed again after
    each result and each change, without a request.

    All sessions of an agent see a command. The session whose event gets the next number in Tiled has executed it. It
    writes the answer. So after a crash the next session finds the event there, or executes the command.

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

    def __init__(
        self,
        store: ResultStore,
        node: AgentNode,
        campaign: Campaign,
        answered: Callable[[], None],
    ) -> None:
        self._store, self._node, self._campaign, self._answered = store, node, campaign, answered
        self._own, self._tiled = campaign.own, campaign.tiled
        self._waiting: dict[str, _Waiting] = {}  # commands without an answer in Tiled, oldest first
        self._busy_since: dict[str, float] = {}  # work of the threads now, and its start
        self._wake, self._ends, self._is_notified = threading.Event(), False, False
        self._listens: Future[None] | None = None
        self._tiled.when_idle(lambda: None if self._is_notified else self._look_at_others())

    def begin(self, *, alone: bool) -> None:
        """Complete the work of an earlier session, if no other session of this agent runs (`alone`)."""
        if alone:
            self._campaign.resume()
            self._tiled.write(self.read, first=True)  # before suggestions are closed: somebody may have taken one
            self._own.submit(self._campaign.close_open)

    def start(self) -> None:
        """Start the thread."""
        self._listens = in_background("ainerd-commands", self._listen)

    def wake(self) -> None:
        """Execute the commands that wait, if there are any."""
        self._wake.set()
        if self._waiting and self._campaign.rules.shared_s and self._takes():
            self._tiled.write(self._execute_settled, first=True)
        elif self._waiting:
            self._own.submit(self.execute)

    def close(self) -> None:
        """End the thread."""
        self._ends = True
        self._wake.set()
        if self._listens is not None:
            with suppress(httpx.HTTPError, RuntimeError):  # RuntimeError: the client is closed
                if not self._store.seems_away:
                    self._node.ring()
            wait([self._listens], CLOSE_S)
        self._answered = lambda: None  # may refer to the owner of this object: without it all parts are freed at once

    def health(self) -> str:
        """Return ``alive``, ``dead``, or the work that has taken longer than `STUCK_S`."""
        if self._listens is not None and self._listens.done():
            return "dead"
        ages = {name: time.monotonic() - since for name, since in dict(self._busy_since).items()}
        late = [f"{name} for {age:.0f} s" for name, age in ages.items() if age > STUCK_S]
        return f"stuck: {', '.join(late)}" if late else "alive"

    def look(self) -> None:
        """Find and execute the waiting commands. Can be called from any thread."""
        if self._tiled.ask(self._find):
            self._execute_settled()

    def read(self) -> None:
        """Execute the waiting commands, after those of other sessions. Not for the thread of the campaign."""
        self._look_at_others()
        self.look()
        self._tiled.ask(self._campaign.flush)  # then no other session has the point of a person that is measured next

    def _execute_settled(self) -> None:
        """Execute the commands; before one that takes a position, make sure that no other session measures there."""
        if self._takes() and self._campaign.rules.shared_s:
            with suppress(ValueError):  # no position is left: the answer has that reason
                self._campaign.settle()
        self._own.ask(self.execute)

    def _takes(self) -> bool:
        """Return whether a command waits that takes a position."""
        state = self._campaign.state
        return any(each.metadata.get("do") in TAKE for key, each in self._waiting.items() if state.answer(key) is None)

    def execute(self, *_: object) -> None:
        """Execute the commands that wait. Called in the thread of the campaign, also after each result.

        The campaign writes the answer to a command that has become an event. A session may be killed before it has
        done so: then another one writes the answer after `LATE_S`.
        """
        waiting, state = list(self._waiting.items()), self._campaign.state
        last_next = next((key for key, each in reversed(waiting) if each.metadata.get("do") == NEXT), None)
        for key, each in waiting:
            answer = self._apply({**each.metadata, "id": key})
            if answer.status == "waits" and each.metadata.get("do") == NEXT and key != last_next:  # its sender is gone
                answer = self._apply({**each.metadata, "id": key}, "a later command asks for the next position")
            if answer.status == "waits":
                continue
            is_event = self._campaign.state.answer(key) is not None
            if is_event and state.answer(key) is None:
                self._answered()
            elif not is_event or (time.monotonic() - each.since > LATE_S and self._campaign.order.has_answered(key)):
                self._waiting.pop(key, None)
                self._tiled.write(partial(self._reply, key, answer), first=True)

    def _look_at_others(self) -> None:
        """Obey the commands that other sessions of this agent received, such as a hold."""
        if self._store.seems_away:
            return
        try:
            if self._campaign.look():
                self._answered()
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client is closed
            logger.debug("other sessions of this agent are not read: %s", error)

    def _listen(self) -> None:
        while not self._ends:
            self._wake.clear()
            self._busy_since["looking for commands"] = time.monotonic()
            try:
                if self._is_notified:
                    self._tiled.ask(self._look_at_others)
                self.look()
            except Exception:  # must not end the thread: people press hold
                logger.exception("commands are not read")
            self._busy_since.pop("looking for commands", None)
            self._is_notified = self._await_news()
            if not self._is_notified:
                self._wake.wait(LISTEN_S)

    def _await_news(self) -> bool:
        """Wait until the server tells of something new, or for a while; return False if it cannot tell."""
        try:
            return not self._store.seems_away and self._node.await_command(WAITING_S if self._waiting else NEWS_S)
        except (httpx.HTTPError, RuntimeError, KeyError, TypeError, ValueError) as error:
            logger.debug("the server does not tell of commands: %s", error)
            return False

    def _find(self) -> bool:
        """Find the commands without an answer; return whether there are any."""
        if self._store.seems_away:
            return False
        try:
            waiting = {}
            for key, metadata in self._node.commands():
                waiting[key] = self._waiting.get(key) or _Waiting(metadata, time.monotonic())
            self._waiting = waiting
            return bool(waiting)
        except (httpx.HTTPError, RuntimeError, KeyError) as error:  # RuntimeError: the client is closed
            logger.debug("commands are not read: %s", error)
            return False

    def _apply(self, metadata: Mapping[str, Any], refused: str = "") -> Answer:
        doing = f"executing {str(metadata.get('do'))[:20]!r}"
        self._busy_since[doing] = time.monotonic()
        try:
            command = parse_command(metadata)
            return self._campaign.apply(command, is_node=True, refused=refused)
        except ValueError as error:  # any program can write a node
            return Answer("refused", str(error)[:300])
        except Exception as error:
            logger.exception("command %s is refused", command.id)
            why = f"the agent cannot execute this: {type(error).__name__}: {error}"[:300]
            with suppress(Exception):  # an event, so that other sessions do not execute it
                return self._campaign.apply(command, is_node=True, refused=why)
            return Answer("refused", why)
        finally:
            self._busy_since.pop(doing, None)

    def _reply(self, key: str, answer: Answer) -> None:
        """Write an answer. If that fails, the next `look` finds the command again."""
        try:
            self._node.answer(key, answer.status, answer.text, answer.fetched)
        except (httpx.HTTPError, KeyError) as error:
            logger.debug("the answer to a command is not written: %s", error)
