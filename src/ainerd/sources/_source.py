"""Sources of documents, which are named on the command line and found by entry points of the group ``ainerd.sources``.

Other packages add theirs in the same way.
"""

import difflib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from os.path import expanduser
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
    """The parts of an agent that a source may use.

    Attributes
    ----------
    stop : threading.Event
        It is set when the source has to end.
    raw : tiled.client.container.Container
        The raw runs of the catalog.
    settings : Settings
    analysed : callable
        Ask Tiled which runs have all their results now. Return a function that takes a run and returns whether it does.
    suggestion_at : callable
        Return the id of the suggestion for these positions, or None.
    once : bool
        Whether the source ends when it has nothing new. A source of messages cannot know this.
    """

    stop: threading.Event
    raw: Container
    settings: Settings
    analysed: Callable[[], Callable[[Container], bool]]
    suggestion_at: Callable[[Mapping[str, float]], str | None]
    once: bool = False


class Source(Protocol):
    """A source of documents. Its class is called with the address: ``host:port`` for ``zmq://host:port``.

    The constructor opens nothing, and raises ValueError for an invalid address.

    Attributes
    ----------
    usage : str
        The text that messages show: how a person writes the source.
    writes_runs : bool
        Whether the agent writes the runs of this source to the catalog, because no other program does. The runs must
        then come one after the other.
    """

    usage: ClassVar[str]
    writes_runs: ClassVar[bool]

    def __init__(self, address: str) -> None: ...

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield documents until `intake.stop` is set or the source ends."""
        ...


def open_source(name: str) -> Source:
    """Return a source by its name and address, such as ``zmq://host:port``. Raise ValueError if one of them is invalid.

    The path of an existing file or folder gives a source of JSON lines.

    Examples
    --------
    >>> open_source("tiled").writes_runs
    False
    >>> open_source("zmqq://localhost:5578")
    Traceback (most recent call last):
        ...
    ValueError: no source 'zmqq://localhost:5578', did you mean 'zmq'? give ...
    """
    name = expanduser(name)
    kind, separator, address = name.partition(":")
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name and not (separator and kind in known) and name != CATALOG and Path(name).exists():
        kind, address = FILE, name
    if kind in known:
        try:
            source: type[Source] = known[kind].load()
        except Exception as error:  # code of a third party
            raise ValueError(f"source {kind!r} ({known[kind].value}) cannot be imported: {error}") from error
        return source(address if kind == FILE else expanduser(address.removeprefix("//")))
    close = difflib.get_close_matches(kind, known, 1)
    meant = f", did you mean {close[0]!r}?" if close else ":"
    order = sorted(known, key=lambda each: (each != CATALOG, each == FILE, each))
    usages = [_usage(known[each]) for each in order]
    raise ValueError(f"no source {name!r}{meant} give {', '.join(usages[:-1])}, or {usages[-1]}")


def _usage(entry: EntryPoint) -> str:
    try:
        return str(entry.load().usage)
    except Exception:  # code of a third party
        return f"{entry.name}: (cannot be imported)"
