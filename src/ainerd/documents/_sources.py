"""Sources of documents: files, runs in Tiled, 0MQ and Kafka. One string names a source.

A folder of acquisitions, ``folder:PATH``, is a source, too; see `ainerd.documents.Folder`.

Bytes are read as msgpack with numpy arrays (`_wire`), or as JSON lines. They cannot execute code. The documents of runs
in Tiled are rebuilt from their nodes (`_tiled_runs`).
"""

import difflib
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.queries import KeysFilter

from ainerd.documents._storage import AWAY
from ainerd.documents._tiled_runs import LONGEST_S, OPEN_S, RunReader, is_of_databroker, runs_by_time
from ainerd.documents._wire import Curve, Document, WireError, checked, kafka_documents, zmq_documents

logger = logging.getLogger(__name__)


IDLE_S = 2.0  # between two searches for new runs, if the server does not announce them
AWAY_S = 5.0  # between two attempts to reach a server that does not answer
KEYS = 100  # runs in a request: an address of 4 kB
REFUSALS = 3  # after this many failed reads in a row a run is left out
NO_RUN = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # raised when a node is not a run


def check_source(source: str) -> tuple[str, str]:
    """Return the kind and the address of a source; raise ValueError if `source` names none. Nothing is opened.

    The kind is tiled, zmq, zmq+bind, kafka, folder or file. The address of a file is its path, whatever its name is.

    Examples
    --------
    >>> check_source("zmq://localhost:5578")
    ('zmq', 'localhost:5578')
    >>> check_source("folder:/data/2026")
    ('folder', '/data/2026')
    """
    if source == "tiled":
        return source, ""
    if source.startswith("folder:") and source != "folder:":
        return "folder", source.removeprefix("folder:").removeprefix("//")
    scheme, _, address = source.partition("://")
    if (scheme in ("zmq", "zmq+bind") and address) or (scheme == "kafka" and address.partition("/")[2]):
        return scheme, address
    if source and not address and Path(source).exists():
        return "file", source
    close = difflib.get_close_matches(scheme, ["tiled", "zmq", "zmq+bind", "kafka", "folder"], 1)
    meant = f", did you mean {close[0]!r}?" if close and close[0] != scheme else ":"
    raise ValueError(
        f"no source {source!r}{meant} give tiled (follow the raw runs of the catalogue), zmq://host:port (a proxy), "
        "zmq+bind://127.0.0.1:port (publishers connect here), kafka://host:port/topic, folder:PATH (acquisitions of a "
        "beamline without documents), or a .jsonl file or a folder of them"
    )


def open_documents(
    source: str,
    stop: threading.Event,
    *,
    raw: Container,
    skip: Callable[[Container], bool] = lambda run: False,
    curve: Curve | None = None,
) -> Iterator[Document]:
    """Return the documents of a source.

    Parameters
    ----------
    source : str
        ``tiled``, ``zmq://host:port``, ``zmq+bind://127.0.0.1:port``, ``kafka://host:port/topic``, or the path of a
        ``.jsonl`` file or of a folder of them.
    stop : threading.Event
        Set it to end a source that does not end by itself.
    raw : tiled.client.container.Container
        The raw runs, for ``tiled``.
    skip : callable
        Return whether to leave out a run, for ``tiled``.
    curve : Curve, optional
        For 0MQ.

    Raises
    ------
    ValueError
        If `source` names no known source.

    Examples
    --------
    >>> import json, threading
    >>> name, start = documents[0]
    >>> _ = (folder / "run.jsonl").write_text(json.dumps({"name": name, "doc": start}))
    >>> [name for name, document in open_documents(str(folder), threading.Event(), raw=client["raw"])]
    ['start']
    """
    kind, address = check_source(source)
    match kind:
        case "tiled":
            return tiled_documents(raw, stop, skip=skip)
        case "kafka":
            servers, _, topic = address.partition("/")
            return kafka_documents(servers, topic, stop)
        case "file":
            return file_documents(Path(address))
        case "folder":
            raise ValueError(f"{source}: the settings of an agent describe acquisitions: call Observer.follow")
    return zmq_documents(address, stop, bind=kind == "zmq+bind", curve=curve)


def file_documents(path: Path, *, by_schema: bool = True) -> Iterator[Document]:
    """Yield the documents of a ``.jsonl`` file, or of all such files in a folder, oldest file first.

    Lines without a document, such as the last line of a truncated file, are logged and left out. Documents that do not
    match event-model's schema are treated in the same way, unless `by_schema` is False, which is for a run that was
    accepted before. Raises ValueError if the file does not exist.

    Examples
    --------
    >>> import json
    >>> with open(folder / "run.jsonl", "w") as file:
    ...     for name, document in documents[:2]:
    ...         print(json.dumps({"name": name, "doc": document}), file=file)
    ...     print('{"name": "ev', file=file)
    >>> [name for name, document in file_documents(folder / "run.jsonl")]  # without the line that was cut off
    ['start', 'descriptor']
    """
    files = sorted(path.glob("*.jsonl"), key=lambda file: file.stat().st_mtime) if path.is_dir() else [path]
    if not all(file.is_file() for file in files):
        raise ValueError(f"no file {path}: give a .jsonl file, or a folder of them")
    for file in files:
        with file.open(errors="replace") as lines:
            yield from line_documents(lines, file, by_schema=by_schema)


def line_documents(lines: Iterable[str], file: Path, *, by_schema: bool = True) -> Iterator[Document]:
    """Yield the documents in the lines of a file, see `file_documents`; the log names the file."""
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            name, doc = record["name"], record["doc"]
            if not isinstance(doc, dict) or not isinstance(name, str):
                raise TypeError(name)
            document = checked(name, doc) if by_schema else (name, doc)
        except WireError as error:
            logger.warning("left out %s, line %d: %s", file, number, error)
        except (ValueError, KeyError, TypeError, RecursionError):  # no JSON, or values too deep or too long to read
            logger.warning("left out %s, line %d: it holds no document", file, number)
        else:
            yield document


class _Finder:
    """Finds the runs that a follower of a catalog has to read: at first all, then those that are new or grow.

    Tiled lists nodes in the order of creation, so new runs follow the last known one. If that one is at another place,
    a run was removed, or one was created earlier and shown later: then all are searched again.
    """

    def __init__(self, raw: Container, since: float) -> None:
        self._raw, self._since = raw, since
        self._n, self._last = 0, ""  # number of nodes up to the last known one, and its key
        self._without_start: set[str] = set()  # nodes that may become runs
        self._is_ordered = not is_of_databroker(raw)

    def look(self, growing: Iterable[str]) -> Iterator[tuple[str, Container]]:
        """Yield the runs to read, given those that grow. An interrupted look is repeated."""
        new = list(self._raw.items()[self._n - 1 :]) if self._n else []
        if not self._is_ordered or [key for key, _ in new[:1]] != [self._last]:
            n = len(self._raw.keys())
            new = list(self._raw.items()[n - 1 : n]) if n else []
            yield from runs_by_time(self._raw, self._since).items()
            self._without_start.clear()
        else:
            n = self._n + len(new) - 1
            again = [*{*growing, *self._without_start}]
            for first in range(0, len(again), KEYS):
                for uid, run in self._raw.search(KeysFilter(again[first : first + KEYS])).items():
                    yield from self._started(uid, run)
            for uid, run in new[1:]:
                yield from self._started(uid, run)
        self._n, self._last = n, new[-1][0] if new else ""

    def _started(self, uid: str, run: Container) -> Iterator[tuple[str, Container]]:
        self._without_start.discard(uid)
        start = run.metadata.get("start")
        began = start.get("time") if isinstance(start, Mapping) else None
        if not isinstance(began, int | float):
            self._without_start.add(uid)
        elif began > self._since:
            yield uid, run


def tiled_documents(
    raw: Container,
    stop: threading.Event,
    *,
    since: float = 0.0,
    skip: Callable[[Container], bool] = lambda run: False,
    patience_s: float = 600.0,
) -> Iterator[Document]:
    """Yield the documents of the runs in a catalog, oldest first, then of new runs, until `stop` is set.

    A search finds the runs, and their documents are read from their nodes, so that no run is missed. Later looks ask
    for what is new and for the runs that grow; the server's stream of changes only triggers them. A run that has not
    changed for `patience_s` while later runs ended was abandoned by its RunEngine; it gets a stop document with that
    reason. A node that is not a run, or cannot be read, is left out and logged once. If its start document was yielded,
    a stop document with the reason follows. Runs that started before `since`, in seconds since 1970, or that `skip`
    accepts, are left out.

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
    ended: set[str] = set()
    with _announced_runs(raw) as announced:
        while not stop.is_set():
            pause = OPEN_S
            try:
                for uid, run in finder.look([*readers, *refused]):
                    if uid in ended:
                        continue
                    reader = readers.get(uid) or RunReader()
                    try:
                        if uid not in readers and skip(run):
                            ended.add(uid)
                            continue
                        readers[uid] = reader
                        yield from reader.follow(run, abandoned_s=patience_s if ended else float("inf"))
                        del refused[uid]
                    except (*NO_RUN, httpx.HTTPStatusError) as error:  # other programs write to the catalog as well
                        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in AWAY:
                            raise
                        refused[uid] += 1
                        if refused[uid] >= REFUSALS:  # not a temporary fault
                            why = "Tiled cannot read it" if isinstance(error, httpx.HTTPError) else "it is no run"
                            logger.warning("%s is left out, %s: %s: %s", uid, why, type(error).__name__, error)
                            yield from reader.failed(f"it cannot be read: {type(error).__name__}: {error}")
                    if reader.is_over:
                        ended.add(uid)
                        readers.pop(uid, None)
                        del refused[uid]
                    if stop.is_set():
                        return
                if not (readers or refused):
                    pause = IDLE_S
            except (httpx.HTTPError, ClientError) as error:
                logger.warning("Tiled does not answer: %s", error)
                pause = AWAY_S
            until = time.monotonic() + pause
            while not stop.is_set() and not announced.wait(0.1) and time.monotonic() < until:
                pass
            announced.clear()


def _subscription(raw: Container) -> Any:
    """Return a subscription to the children of a container, which uses the client's own key.

    On a server with accounts Tiled's subscription makes a key for each connection, which keys of services may not.
    """
    from tiled.client.stream import ContainerSubscription  # needs websockets

    context = raw.context
    if context.api_key is None:
        return raw.subscribe()
    makes_no_key = SimpleNamespace(authentication=SimpleNamespace(providers=[]))
    used = {"api_uri": context.api_uri, "http_client": context.http_client, "api_key": context.api_key}
    return ContainerSubscription(
        SimpleNamespace(**used, server_info=makes_no_key), raw.path_parts, None, raw.structure_clients
    )


@contextmanager
def _announced_runs(raw: Container) -> Iterator[threading.Event]:
    """Yield an event that is set whenever the server announces a new run."""
    announced, subscription = threading.Event(), _subscription(raw)

    def announce(update: object) -> None:  # the subscription holds only a weak reference to it
        announced.set()

    def listen() -> None:
        try:
            subscription.start()
        except Exception as error:  # any error: the server may not have a stream of changes
            logger.info("no stream of changes (%s): looking every %.0f s", error, IDLE_S)

    subscription.child_created.add_callback(announce)
    listener = threading.Thread(target=listen, name="ainerd-announced", daemon=True)
    listener.start()
    try:
        yield announced
    finally:
        subscription.disconnect()
        listener.join(LONGEST_S)
