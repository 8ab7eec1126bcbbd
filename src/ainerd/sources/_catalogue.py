"""Documents of the runs in a catalog, rebuilt from their nodes, while other programs write them."""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import ClassVar

from tiled.client.container import Container
from tiled.queries import KeysFilter

from ainerd.documents import AWAY, Document, RunReader
from ainerd.results import Away, TiledError, translated
from ainerd.sources._source import Intake

logger = logging.getLogger(__name__)

OPEN_S = 0.3  # between two reads of growing runs
IDLE_S = 1.0  # between two searches for new runs
AWAY_S = 5.0  # between two attempts to reach a server that does not answer
DAY_S = 86400.0
KEYS = 100  # runs in a request: an address of 4 kB
REFUSALS = 3  # after this many failed reads in a row a run is left out
NO_RUN = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # raised when a node is not a run


class Tiled:
    """The runs in the catalog since a date, also those of databroker. Runs that have their results are left out."""

    usage: ClassVar[str] = "tiled (all raw runs of the catalog), tiled:DATE (those since then)"
    writes_runs: ClassVar[bool] = False

    def __init__(self, address: str = "") -> None:
        try:
            self._since = datetime.fromisoformat(address).timestamp() if address else 0.0  # local time
        except (ValueError, OverflowError):
            raise ValueError(
                f"tiled:{address}: give tiled, or the date of the first run, such as tiled:2026-05-01 or "
                "tiled:2026-05-01T08:00; the address of the server is that of the settings, or --tiled"
            ) from None

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield the documents of the runs that lack a result, oldest first, and then of new runs."""
        skip = intake.analysed()
        return tiled_documents(intake.raw, intake.stop, since=self._since, skip=skip, once=intake.once)


class _Finder:
    """Finds the runs that a follower of a catalog has to read: at first all, then those that grow.

    If the number of runs has changed, and always in databroker, those of the day before the newest are searched again.
    A run that began earlier, and is written later, is found by the next start.
    """

    def __init__(self, raw: Container, since: float) -> None:
        self._raw, self._since, self._n = raw, since, -1  # number of nodes
        self._takes_keys = not RunReader.is_of_databroker(raw)

    def look(self, growing: Iterable[str]) -> Iterator[tuple[str, Container]]:
        """Yield the runs to read, given those that grow. An interrupted look is repeated."""
        again, n = [*growing], len(self._raw)
        if n == self._n and self._takes_keys:
            for first in range(0, len(again), KEYS):
                yield from self._raw.search(KeysFilter(again[first : first + KEYS])).items()
            return
        newest = self._since
        for uid, run in RunReader.runs_by_time(self._raw, self._since).items():
            newest = max(newest, min(_began(run), time.time()))  # a clock may be wrong
            yield uid, run
        self._n, self._since = n, max(self._since, newest - DAY_S)


def _began(run: Container) -> float:
    start = run.metadata.get("start")
    began = start.get("time") if isinstance(start, Mapping) else None
    return began if isinstance(began, int | float) else -math.inf


def tiled_documents(
    raw: Container,
    stop: threading.Event,
    *,
    since: float = 0.0,
    skip: Callable[[Container], bool] = lambda run: False,
    patience_s: float = 600.0,
    once: bool = False,
) -> Iterator[Document]:
    """Yield the documents of the runs in a catalog, oldest first, then of new runs, until `stop` is set.

    With `once` it ends when all runs have ended.

    A search finds the runs, and their documents are read from their nodes, so that no run is missed. Later looks ask
    for new runs and for the runs that grow. A run that has not changed for `patience_s` although a later run has ended,
    or any run with `once`, was abandoned by its RunEngine; it gets a stop document with that reason. A node that is not
    a run, or cannot be read, is left out and logged once. If its start document was yielded, a stop document with the
    reason follows. Runs that started before `since`, in seconds since 1970, or that `skip` accepts, are left out.

    Examples
    --------
    >>> import threading
    >>> from ainerd.runs import write_run
    >>> write_run(client["raw"], documents)
    >>> stop = threading.Event()  # without it, runs that come later follow
    >>> for name, document in tiled_documents(client["raw"], stop, since=documents[0][1]["time"] - 1):
    ...     print(name)
    ...     if name == "stop":
    ...         stop.set()
    start
    descriptor
    event
    event
    event
    event
    event
    stream_resource
    stream_datum
    stop
    """
    readers: dict[str, RunReader] = {}
    refused: Counter[str] = Counter()
    finder = _Finder(raw, since)
    ended, newest = set[str](), -math.inf  # runs that ended or were left out, and when the last of these began
    while not stop.is_set():
        pause = OPEN_S
        try:
            for uid, run in _asked(finder.look([*readers, *refused])):
                if uid in ended:
                    continue
                reader = readers.get(uid) or RunReader()
                try:
                    with translated():
                        if uid not in readers and skip(run):
                            ended.add(uid)
                            newest = max(newest, _began(run))
                            continue
                        readers[uid] = reader
                        is_overtaken = _began(run) < newest or (once and ended)
                        yield from reader.follow(run, abandoned_s=patience_s if is_overtaken else math.inf)
                    del refused[uid]
                except (*NO_RUN, TiledError) as error:  # other programs write to the catalog as well
                    if isinstance(error, Away) and (error.status is None or error.status in AWAY):
                        raise
                    refused[uid] += 1
                    if refused[uid] >= REFUSALS:  # not a temporary fault
                        why = "Tiled cannot read it" if isinstance(error, TiledError) else "it is no run"
                        logger.warning("%s is left out, %s: %s: %s", uid, why, type(error).__name__, error)
                        yield from reader.failed(f"it cannot be read: {type(error).__name__}: {error}")
                if reader.is_over:
                    ended.add(uid)
                    newest = max(newest, _began(run))
                    readers.pop(uid, None)
                    del refused[uid]
                if stop.is_set():
                    return
            if not (readers or refused):
                if once:
                    return
                pause = IDLE_S
        except TiledError as error:
            logger.warning("Tiled does not answer: %s", error)
            pause = AWAY_S
        stop.wait(pause)


def _asked(found: Iterator[tuple[str, Container]]) -> Iterator[tuple[str, Container]]:
    """Yield the runs that a look finds; `Away` if Tiled does not answer."""
    with translated():
        yield from found
