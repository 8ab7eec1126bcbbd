"""Nodes of agents in Tiled: their state, commands to them, the live picture, changes and checkpoints."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.processes import where_it_may_run
from ainerd.results._errors import Away, Gone, TiledError, translated, within
from ainerd.results._nodes import KEYS, create_node, merge_metadata, read_children, tags_of
from ainerd.results._records import Metadata, digest, plain
from ainerd.results._stream import Stream
from ainerd.results.commands import COMMANDS, HOLDS, ID, Command, command_metadata, container_of
from ainerd.words import utc_now

logger = logging.getLogger(__name__)

POLL_S = 1.0  # between two looks whether a command has its answer
SOON_S = 10.0  # time limit of a request; it is not repeated
SILENT_S = 30.0  # without a sign of life, until a session counts as ended
MOST_DELETED = 20  # changes in a row that may be missing
_key_of = "{:08d}".format  # of a change, by its number


class AgentNode:
    """The node of an agent, ``ainerd/agents/<digest of its name>``, and the commands below it.

    Requests are not repeated: the agent writes its state again a few seconds later.

    Parameters
    ----------
    ainerd : tiled.client.container.Container
        ``client["ainerd"]``.
    agent : str
        Its name.
    """

    def __init__(self, ainerd: Container, agent: str) -> None:
        self._ainerd, self._agent, self._key = ainerd, agent, digest({"agent": agent})
        self._path = f"agents/{self._key}"
        self._nodes = dict[str, Container]()  # of this agent, by the name of the container

    def save_checkpoint(self, state: Metadata) -> None:
        """Replace the checkpoint of the agent, a mapping of plain values."""
        self._put("checkpoints", {"agent": self._agent, "state": plain(state)}, "AinerdCheckpoint")

    def checkpoint(self) -> Metadata:
        """Read the checkpoint; empty if it does not exist or is invalid."""
        try:
            with translated():
                return dict(self._ainerd["checkpoints", self._key].metadata["state"])
        except KeyError:
            return {}
        except (TypeError, ValueError):
            logger.warning("the checkpoint of %s is left out: its state is not a mapping", self._agent)
            return {}

    def append(self, number: int, change: Metadata) -> Metadata | None:
        """Write the change with this number; return the change that has the number already, or None."""
        if "changes" not in self._nodes:
            self._create("changes", {"agent": self._agent}, None)
        node, is_new = create_node(self._nodes["changes"], _key_of(number), plain(change), "AinerdChange")
        return None if is_new else dict(node.metadata)

    def changes(self, after: int) -> list[tuple[int, Metadata]]:
        """Read the changes after the one with a number, in their order. One request for about a hundred.

        The numbers have no gaps, unless somebody has deleted changes; up to `MOST_DELETED` in a row are passed over.
        """
        changes: list[tuple[int, Metadata]] = []
        while True:
            numbers = range(after + 1, after + 1 + KEYS)
            try:
                named = dict(read_children(self._ainerd, f"changes/{self._key}", SOON_S, [*map(_key_of, numbers)]))
            except Gone:  # there is no change yet
                return changes
            changes += [(number, named[key]) for number in numbers if (key := _key_of(number)) in named]
            if not changes or changes[-1][0] < numbers[-1] - MOST_DELETED:
                return changes
            after = changes[-1][0]

    def state(self) -> Metadata:
        """Read the state of the agent; empty if the agent has never written it."""
        try:
            with translated():
                return dict(self._ainerd["agents", self._key].metadata)
        except KeyError:
            return {}

    def write_state(self, state: Metadata) -> None:
        """Replace the state of the agent, a mapping of plain values."""
        self._put("agents", {**plain(state), "agent": self._agent}, "AinerdAgent")

    def update_state(self, state: Metadata) -> None:
        """Replace these values of the state; the others stay."""
        merge_metadata(self._node("agents"), plain(state), SOON_S)

    @translated()
    def write_array(self, name: str, values: NDArray[Any]) -> None:
        """Write an array below the node of the agent, in place of the one with this name."""
        node = self._ainerd["agents", self._key]
        if name in node:
            if node[name].shape == values.shape:
                node[name].write(values)
                return
            node.delete_contents(name, external_only=False)
        node.write_array(values, key=name, access_tags=tags_of(node))

    @translated()
    def open(self) -> None:
        """Create the node of the agent, and the containers for commands to it, as far as they do not exist."""
        agents, _ = create_node(self._ainerd, "agents", {}, None)
        node, _ = create_node(agents, self._key, {"agent": self._agent}, "AinerdAgent")
        for name in (HOLDS, COMMANDS):
            create_node(node, name, {}, None)

    def listen(self, created: Callable[[], None]) -> list[Stream]:
        """Call a function for each new command, if the server has a stream; see `Stream`."""
        levels = {HOLDS: logging.WARNING, COMMANDS: logging.DEBUG}  # one line for both
        return [Stream(partial(self._container, name), created, level) for name, level in levels.items()]

    def commands(self) -> list[tuple[tuple[str, str], Metadata]]:
        """Read the commands without an answer: name of the container and key, and the metadata.

        Holds and releases come first, and then the oldest. A node whose key makes an answer impossible is left out.
        """
        found = []
        for name in (HOLDS, COMMANDS):
            nodes = read_children(self._ainerd, f"{self._path}/{name}", SOON_S, status="asked")
            found += [((name, key), metadata) for key, metadata in nodes if re.match(ID, key)]
        return found

    @translated()
    def send(self, command: Command) -> bool:
        """Create the node of a command; return False if its id exists already. Raises `Gone` without an agent."""
        metadata, parent = command_metadata(command, self._agent), self._container(container_of(command))
        return create_node(parent, command.id, metadata, "AinerdCommand")[1]

    def ask(self, command: Command, within_s: float) -> Metadata:
        """Send a command and return its metadata once the agent has answered.

        After `within_s` the command is withdrawn: the status is ``refused``. While Tiled is away, the command waits.
        """
        answer: Metadata = {"status": "asked"}
        name, end, is_sent = container_of(command), time.monotonic() + within_s, False
        try:
            while time.monotonic() < end:
                with suppress(Away):  # the same id is sent once
                    is_sent = is_sent or self.send(command) or True
                    with translated():
                        answer = dict(self._container(name)[command.id].metadata)
                    if answer["status"] != "asked":
                        return answer
                time.sleep(POLL_S)
        except Gone:
            return {"status": "refused", "answer": "there has never been an agent with this name here"}
        finally:
            if is_sent and answer["status"] == "asked":
                with suppress(TiledError):
                    self.answer(name, command.id, "refused", "withdrawn: its sender does not wait any more")
        text = "it does not answer, so the request is withdrawn: is `ainerd watch` running?"
        return {"status": "refused", "answer": text}

    def answer(
        self, container: str, key: str, status: str, answer: str, fetched: Mapping[str, object] | None = None
    ) -> None:
        """Write the answer to a command: ``done`` or ``refused``, why, and the suggestion that it has fetched."""
        values = {"status": status, "answer": answer, "answered": utc_now(), **(fetched or {})}
        with translated(), within(self._ainerd, SOON_S, 1):
            node = self._container(container)[key]
        merge_metadata(node, values, SOON_S)

    @translated()
    def _node(self, parent: str) -> Container:
        """Return the node of the agent in a container, which is read once."""
        if parent not in self._nodes:
            with within(self._ainerd, SOON_S, 1):
                self._nodes[parent] = self._ainerd[parent, self._key]
        return self._nodes[parent]

    def _create(self, parent: str, metadata: dict[str, object], spec: str | None) -> None:
        of_all, _ = create_node(self._ainerd, parent, {}, None)
        self._nodes[parent], _ = create_node(of_all, self._key, metadata, spec)

    def _put(self, parent: str, metadata: dict[str, object], spec: str) -> None:
        """Replace the metadata of that node, or create it."""
        try:
            with translated(), within(self._ainerd, SOON_S, 1):
                self._node(parent).replace_metadata(metadata, drop_revision=True)
        except Gone:
            self._create(parent, metadata, spec)

    def _container(self, name: str) -> Container:
        return self._ainerd["agents", self._key, name]


def where_it_steers(state: Metadata) -> str | None:
    """Return where the session that steers an agent runs, and since when, in words; None if it has ended.

    Parameters
    ----------
    state : mapping
        State of the agent in Tiled; see `AgentNode.state`.

    Examples
    --------
    >>> import time
    >>> from ainerd.processes import whereabouts
    >>> at, now = whereabouts(), time.time()
    >>> state = {"at": at, "health": {"closed": False, "heard": now}}
    >>> where_it_steers(state).startswith(f" on {at['host']} (process {at['pid']} of {at['user']}, since ")
    True
    >>> where_it_steers({}) is None
    True
    """
    try:
        health = state["health"]
        is_silent = time.time() - health["heard"] > SILENT_S
        return None if health["closed"] or is_silent else where_it_may_run(state["at"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:  # any program writes it
        logger.debug("the agent's node names no session: %s: %s", type(error).__name__, error)
        return None
