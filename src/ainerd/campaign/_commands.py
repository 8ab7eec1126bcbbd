"""Execute the commands that wait in Tiled exactly once, even if several processes of one agent read them."""

import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from ainerd.campaign._campaign import Answer, Campaign
from ainerd.results import AgentNode, ResultStore
from ainerd.results.commands import parse_command
from ainerd.runs import Jobs

logger = logging.getLogger(__name__)


class CommandReader:
    """Reads the commands to an agent, applies them to its campaign, and writes the answers.

    An answer is written after all changes of the command, including its id in the checkpoint. So after a crash the next
    session finds the command in the checkpoint, or executes it. `answered` is called after each answer.
    """

    def __init__(
        self, store: ResultStore, node: AgentNode, campaign: Campaign, jobs: Jobs, answered: Callable[[], None]
    ) -> None:
        self._store, self._node, self._campaign, self._jobs, self._answered = store, node, campaign, jobs, answered
        self._process = secrets.token_hex(8)  # id of this process among those of the agent
        self._answers: dict[str, Answer] = {}  # not yet written, by key

    def begin(self, *, alone: bool) -> None:
        """Complete the work of an earlier session, if no other session of this agent runs on this machine (`alone`)."""
        if not alone:
            return
        self._campaign.resume()
        self._jobs.submit(partial(self.read, take_over=True))
        self._jobs.submit(self._campaign.close_open)

    def look(self) -> None:
        """Submit a job that executes the waiting commands, if there are any. Can be called from any thread."""
        with suppress(httpx.HTTPError, RuntimeError, KeyError):  # RuntimeError: the client is closed
            if self._node.commands():
                self._jobs.submit(self.read)

    def read(self, *, take_over: bool = False) -> None:
        """Execute the waiting commands. Called in the worker's thread.

        With `take_over` also execute the commands that other processes have claimed.
        """
        if self._store.seems_away:
            return
        try:
            for key, metadata in self._node.commands():
                if key not in self._answers:
                    if not self._node.claim(key, self._process, take_over=take_over):
                        continue
                    self._campaign.recall()
                    self._answers[key] = self._apply({**metadata, "id": key})
                self._jobs.submit(partial(self._answer, key))
        except httpx.HTTPError as error:
            logger.debug("commands are not read: %s", error)

    def _apply(self, metadata: Mapping[str, Any]) -> Answer:
        try:
            return self._campaign.apply(parse_command(metadata))
        except ValueError as error:  # any program can write a node
            return Answer("refused", str(error)[:300])

    def _answer(self, key: str) -> None:
        answer = self._answers.get(key)
        if answer is None:
            return
        if not self._campaign.ledger.is_saved:  # the next `look` finds the command again
            self._campaign.checkpoint()
            return
        try:
            self._node.answer(key, answer.status, answer.text)
        except httpx.HTTPError as error:
            logger.debug("the answer to a command is not written: %s", error)
            return
        del self._answers[key]
        self._answered()
