"""Commands that people, plans and scripts in other processes leave in Tiled for an agent."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from ainerd.campaign import Campaign
from ainerd.decisions import Answer
from ainerd.results import AgentNode, ResultStore
from ainerd.results.commands import parse_command, unverified
from ainerd.runs import Jobs

logger = logging.getLogger(__name__)

LISTEN_S = 0.5  # between two looks at waiting commands, if the server does not tell of them
TOLD_S = 1.0  # between two looks if it does
HOLDS, NEXT = ("hold", "release"), "next"  # commands whose senders wait: their answers come first
TAKE = (NEXT, "accept")  # commands that take the position that is ready
_LATER = (401, 403, 429, *range(500, 600))  # the server may accept it later
STUCK_S = 30.0  # a look or a command that takes longer is reported
CLOSE_S = 5.0  # longest wait for the thread at the end


class CommandReader:
    """Reads the commands to an agent, applies them to its campaign, and writes the answers.

    A thread looks for commands and claims them: as soon as the server tells of one, and each second. A server without
    our routes is asked each half second. The thread that owns the campaign executes them, before other jobs. Commands
    that must wait are executed again after each result and each change, without a request. While the thread for Tiled
    has nothing to do, it looks at the decisions of other sessions.

    An answer is written once the command is among the events in Tiled. So after a crash the next session finds it
    there, or executes the command.

    Any program can write any node. A command that cannot be claimed, read or executed is refused, or left out with a
    log line, and the next one is executed.

    Parameters
    ----------
    store : ResultStore
        Store of the agent.
    node : AgentNode
    campaign : Campaign
    own, tiled : Jobs
        Of the thread that owns the campaign, and of the one that asks Tiled for it.
    answered : callable
        Called after each answer.
    """

    def __init__(
        self,
        store: ResultStore,
        node: AgentNode,
        campaign: Campaign,
        own: Jobs,
        tiled: Jobs,
        answered: Callable[[], None],
    ) -> None:
        self._store, self._node, self._campaign, self._answered = store, node, campaign, answered
        self._own, self._tiled = own, tiled
        self._process = secrets.token_hex(8)  # id of this process among those of the agent
        self._claimed: dict[str, Mapping[str, Any]] = {}  # commands that this process executes, oldest first
        self._answers: dict[str, Answer] = {}  # not yet written, by key
        self._left_out: set[str] = set()  # keys of nodes that cannot be claimed or read
        self._busy_since: dict[str, float] = {}  # what a thread does now, and since when
        self._wake, self._ends = threading.Event(), False
        self._thread: threading.Thread | None = None
        tiled.when_idle(self._look_at_others)

    def begin(self, *, alone: bool) -> None:
        """Complete the work of an earlier session, if no other session of this agent runs (`alone`)."""
        if not alone:
            return
        self._campaign.resume()
        self._tiled.submit(partial(self.read, take_over=True))
        self._own.submit(self._campaign.close_open)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._listen, name="ainerd-commands", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Execute the commands that wait, if there are any, and look soon for others."""
        self._wake.set()
        # one that takes a position must first be sure that no other session measures there: the next look executes it
        if self._claimed and not (self._campaign.rules.shared_s and self._takes()):
            self._own.submit(self.execute)

    def close(self) -> None:
        """End the thread."""
        self._ends = True
        self._wake.set()
        if self._thread is not None:
            with suppress(httpx.HTTPError, RuntimeError):  # RuntimeError: the client is closed
                if not self._store.seems_away:
                    self._node.ring()
            self._thread.join(CLOSE_S)
        self._answered = lambda: None  # may refer to the owner of this object: without it all parts are freed at once

    def health(self) -> str:
        """Return ``alive``, ``dead``, or what has taken longer than `STUCK_S`."""
        if self._thread is not None and not self._thread.is_alive():
            return "dead"
        ages = {name: time.monotonic() - since for name, since in dict(self._busy_since).items()}
        late = [f"{name} for {age:.0f} s" for name, age in ages.items() if age > STUCK_S]
        return f"stuck: {', '.join(late)}" if late else "alive"

    def look(self) -> None:
        """Find, claim and execute the waiting commands. Can be called from any thread."""
        if self._tiled.ask(partial(self._find, take_over=False)):
            self._execute_settled()

    def read(self, *, take_over: bool = False) -> None:
        """Execute the waiting commands, after those of other sessions. Can be called from any thread but the owner's.

        With `take_over` also execute the commands that other processes have claimed.
        """
        self._look_at_others()
        self._tiled.ask(partial(self._find, take_over=take_over))
        self._execute_settled()

    def _execute_settled(self) -> None:
        """Execute the commands; before one that takes a position, make sure that no other session measures there."""
        if self._takes() and self._campaign.rules.shared_s:
            with suppress(ValueError):  # no position is left: the answer has that reason
                self._campaign.settle()
        self._own.ask(self.execute)

    def _takes(self) -> bool:
        """Return whether a command waits that takes a position."""
        return any(metadata.get("do") in TAKE for metadata in list(self._claimed.values()))

    def execute(self, *_: object) -> None:
        """Execute the commands that are claimed. Called in the thread of the campaign, also after each result."""
        waiting = [(key, {**metadata, "id": key}) for key, metadata in list(self._claimed.items())]
        last_next = next((key for key, metadata in reversed(waiting) if metadata.get("do") == NEXT), None)
        for key, metadata in waiting:
            do = metadata.get("do")
            first = do in (*HOLDS, NEXT)
            if key not in self._answers:
                answer = self._apply(metadata)
                if answer.status == "waits" and key == last_next:
                    continue
                if answer.status == "waits":  # its sender is gone
                    answer = Answer("refused", "a later command asks for the next position")
                self._answers[key] = answer
                if do in HOLDS:
                    self._tiled.write(self._show_hold, first=True)
            self._tiled.write(partial(self._answer, key), first=first)

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
                self.look()
            except Exception:  # must not end the thread: people press hold
                logger.exception("commands are not read")
            self._busy_since.pop("looking for commands", None)
            if not self._was_told():
                self._wake.wait(LISTEN_S)

    def _was_told(self) -> bool:
        """Wait until the server tells of a command, or for `TOLD_S`; return False if it cannot tell."""
        try:
            return not self._store.seems_away and self._node.await_command(TOLD_S)
        except (httpx.HTTPError, RuntimeError, KeyError, TypeError, ValueError) as error:
            logger.debug("the server does not tell of commands: %s", error)
            return False

    def _find(self, *, take_over: bool) -> bool:
        """Claim the waiting commands; return whether this process has commands to execute."""
        if self._store.seems_away:
            return False
        try:
            claimed = {}
            for key, metadata in self._node.commands():
                if key in self._left_out:
                    continue
                found = self._claimed.get(key) or self._claim(key, metadata, take_over=take_over)
                if found is not None:
                    claimed[key] = found
            self._claimed = claimed
            return bool(claimed)
        except (httpx.HTTPError, RuntimeError, KeyError) as error:  # RuntimeError: the client is closed
            logger.debug("commands are not read: %s", error)
            return False

    def _claim(self, key: str, metadata: Mapping[str, Any], *, take_over: bool) -> Mapping[str, Any] | None:
        """Claim a command, and return its metadata; None if another process executes it, or nobody can."""
        try:
            if not self._node.claim(key, self._process, take_over=take_over):
                return None
            if self._node.was_claimed(key):  # another session may have executed it
                self._campaign.look()
            accounts = self._campaign.rules.has_accounts
            return self._node.vouched(key, metadata) if accounts else unverified(metadata)
        except (httpx.TransportError, RuntimeError):  # Tiled is away, or the client is closed
            raise
        except Exception as error:
            if not (isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _LATER):
                logger.warning("command %s is left out: %s: %s", key, type(error).__name__, str(error)[:300])
                self._left_out.add(key)
            return None

    def _show_hold(self) -> None:
        """Write at once who holds the campaign, for plans in other processes."""
        try:
            self._node.update_state({"held": self._campaign.state.held})
        except (httpx.HTTPError, KeyError) as error:  # the whole state follows
            logger.debug("the hold is not yet in the state: %s", error)

    def _apply(self, metadata: Mapping[str, Any]) -> Answer:
        doing = f"executing {str(metadata.get('do'))[:20]!r}"
        self._busy_since[doing] = time.monotonic()
        try:
            return self._campaign.apply(parse_command(metadata))
        except ValueError as error:  # any program can write a node
            return Answer("refused", str(error)[:300])
        except Exception as error:
            logger.exception("command %s is left out", metadata["id"])
            return Answer("refused", f"the agent cannot execute this: {type(error).__name__}: {error}"[:300])
        finally:
            self._busy_since.pop(doing, None)

    def _answer(self, key: str) -> None:
        """Write the answer to a command, once its event is in Tiled. A second time changes nothing."""
        answer = self._answers.get(key)
        if answer is None:
            return
        if not self._campaign.is_recorded(key):  # the next `look` finds the command again
            self._campaign.checkpoint()
            return
        try:
            self._node.answer(key, answer.status, answer.text, answer.fetched)
        except (httpx.HTTPError, KeyError) as error:
            logger.debug("the answer to a command is not written: %s", error)
            return
        self._claimed.pop(key, None)
        self._answers.pop(key, None)
        self._answered()
