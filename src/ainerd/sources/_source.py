"""A source of documents: what it gives an agent, what an agent gives it, and its name on the command line.

Packages add sources with entry points of the group ``ainerd.sources``. The agent knows no other way to its own sources.
"""

import difflib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar, Protocol

from tiled.client.container import Container

from ainerd.config import Settings
from ainerd.documents import Document

GROUP = "ainerd.sources"
CATALOG = "tiled"  # the source without an address, even if a file has this name
FILE = "file"  # the source of a path that names no source


@dataclass(frozen=True)
class Intake:
    """What an agent gives to the source that it follows.

    Attributes
    ----------
    stop : threading.Event
        It is set when the source has to end.
    raw : tiled.client.container.Container
        The raw runs of the catalog.
    settings : Settings
    analysed : callable
        Asks Tiled which runs have all their results now, and returns a function that tells it of a run.
    suggestion_at : callable
        Returns the id of the suggestion that was given at these positions, or None.
    """

    stop: threading.Event
    raw: Container
    settings: Settings
    analysed: Callable[[], Callable[[Container], bool]]
    suggestion_at: Callable[[Mapping[str, float]], str | None]


class Source(Protocol):
    """A place where documents come from, made of the address after its name: ``zmq://host:port``, ``folder:PATH``.

    Its constructor raises ValueError if it cannot use the address. It opens nothing.

    Attributes
    ----------
    usage : str
        How a person writes the source, and what it is, for messages.
    writes_runs : bool
        Whether the agent writes the runs of this source to the catalog, because nobody else does.
    """

    usage: ClassVar[str]
    writes_runs: ClassVar[bool]

    def __init__(self, address: str) -> None: ...

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield documents until `intake.stop` is set or the source ends."""
        ...


def open_source(name: str) -> Source:
    """Return the source of a name; raise ValueError if there is none, or its address is invalid.

    A path without the name of a source is that of a ``.jsonl`` file, or of a folder of them.

    Examples
    --------
    >>> open_source("tiled").writes_runs
    False
    >>> open_source("zmqq://localhost:5578")
    Traceback (most recent call last):
        ...
    ValueError: no source 'zmqq://localhost:5578', did you mean 'zmq'? give ...
    """
    kind, separator, address = name.partition(":")
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name and not (separator and kind in known) and name != CATALOG and Path(name).exists():
        kind, address = FILE, name
    if kind in known:
        source: type[Source] = known[kind].load()
        return source(address if kind == FILE else address.removeprefix("//"))
    close = difflib.get_close_matches(kind, known, 1)
    meant = f", did you mean {close[0]!r}?" if close else ":"
    order = sorted(known, key=lambda each: (each != CATALOG, each == FILE, each))
    usages = [known[each].load().usage for each in order]
    raise ValueError(f"no source {name!r}{meant} give {', '.join(usages[:-1])}, or {usages[-1]}")
