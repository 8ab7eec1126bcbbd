"""Sources of documents: files, runs in Tiled, 0MQ and Kafka. One string names a source.

A folder of acquisitions, ``folder:PATH``, is a source, too; see `ainerd.documents.Folder`.

Bytes are read as msgpack with numpy arrays, or as JSON lines. They cannot execute code. The documents of runs in Tiled
are rebuilt from their nodes, for finished runs and for growing runs.
"""

import difflib
import json
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jsonschema
import numpy as np
import pandas as pd
import zmq
import zmq.auth
from event_model import DocumentNames, schema_validators
from msgpack.fallback import Unpacker
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.queries import Key, KeysFilter

from ainerd.documents._storage import AWAY

logger = logging.getLogger(__name__)

Document = tuple[str, dict[str, Any]]

LARGEST = 64 * 2**20  # bytes of a message, which does not contain frames
KINDS = "biufcSU"  # accepted kinds of arrays: bool, numbers, text
PAUSES_S = (0.1, 0.5, 1.0)  # before reading a table again that has fewer events than its run
OPEN_S = 0.3  # between two reads of growing runs
IDLE_S = 2.0  # between two searches for new runs, if the server does not announce them
AWAY_S = 5.0  # between two attempts to reach a server that does not answer
KEYS = 100  # runs in a request: an address of 4 kB
REFUSALS = 3  # after this many failed reads in a row a run is left out
NO_RUN = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # raised when a node is not a run
LONGEST_S = 10.0  # longest time between two looks, unless the process was suspended or cut off from its server
POLL_S = 0.2
QUEUED = 100_000  # 0MQ messages that may wait while an earlier one is handled
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
CONNECT_S = 10.0  # longest wait for an answer of a Kafka broker


@dataclass(frozen=True)
class Curve:
    """CURVE certificates: files that `zmq.auth.create_certificates` writes.

    Attributes
    ----------
    secret : Path
        Certificate of the agent, with the secret key.
    server : Path or None
        Public certificate of the server to which the agent connects.
    """

    secret: Path
    server: Path | None = None


def check_source(source: str) -> tuple[str, str]:
    """Return the kind and the address of a source; raise ValueError if `source` names none. Nothing is opened.

    The kind is tiled, zmq, zmq+bind, kafka, folder or file. The address of a file is its path, whatever its name is.
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


def zmq_documents(
    address: str, stop: threading.Event, *, bind: bool = False, curve: Curve | None = None
) -> Iterator[Document]:
    """Yield documents that `bluesky.callbacks.zmq.Publisher` sends with msgpack as its serializer, until `stop` is set.

    Connect to a proxy at `address`, ``host:port``, or with `bind` listen there for publishers. Messages that are not
    documents are logged and left out. 0MQ sends each message once, so a run whose start is missed is lost. To listen to
    other machines, CURVE keys are required.

    Raises
    ------
    ValueError
        If the address is invalid, in use, or open to the network without keys.
    """
    if bind and curve is None and address.rpartition(":")[0] not in LOOPBACK:
        raise ValueError(f"to listen at {address} for other machines, give CURVE keys; or listen at 127.0.0.1")
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.RCVHWM, QUEUED)
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST)
        socket.setsockopt(zmq.LINGER, 0)
        if curve is not None:
            _secure(socket, curve, bind)
        socket.subscribe(b"")
        try:
            (socket.bind if bind else socket.connect)(f"tcp://{address}")
        except zmq.ZMQError as error:
            raise ValueError(f"0MQ address {address}: {error}") from None
        while not stop.is_set():
            if socket.poll(int(POLL_S * 1000)):
                message = socket.recv()
                parts = message.split(b" ", 2)  # prefix, name, payload
                try:
                    if len(parts) != 3:
                        raise WireError(f"{len(message)} bytes that are no document")
                    yield checked(parts[1].decode(errors="replace"), unpack(parts[2]))
                except WireError as error:
                    logger.warning("left out of 0MQ %s: %s", address, error)


def _secure(socket: zmq.Socket[bytes], curve: Curve, bind: bool) -> None:
    try:
        socket.curve_publickey, secret = zmq.auth.load_certificate(curve.secret)
        if bind:
            socket.curve_server = True
        elif curve.server is None:
            raise ValueError("to connect with CURVE keys, give the server's public key too")
        else:
            socket.curve_serverkey, _ = zmq.auth.load_certificate(curve.server)
    except OSError as error:
        raise ValueError(f"CURVE key: {error}") from None
    if secret is None:
        raise ValueError(f"{curve.secret} has no secret key")
    socket.curve_secretkey = secret


def kafka_documents(servers: str, topic: str, stop: threading.Event) -> Iterator[Document]:
    """Yield documents that `bluesky_kafka.Publisher` sends, msgpack of (name, document), until `stop` is set.

    Reading continues where the consumer group ``ainerd`` stopped, or starts with the oldest message. A message counts
    as read when the next one is requested. So a message whose handling was interrupted arrives again. `servers` is
    ``host:port``, or several separated by commas.

    Raises
    ------
    ValueError
        If the client library is missing, no server answers, or the topic does not exist.
    """
    try:
        from confluent_kafka import OFFSET_STORED, Consumer, KafkaException, TopicPartition
    except ImportError:
        raise ValueError("Kafka needs its client: pip install 'ainerd[kafka]'") from None
    settings: dict[str, Any] = {"auto.offset.reset": "earliest", "enable.auto.commit": False}
    try:
        consumer = Consumer({"bootstrap.servers": servers, "group.id": "ainerd", **settings})
    except (KafkaException, ValueError) as error:
        raise ValueError(f"Kafka at {servers}: {error}") from None
    with closing(consumer):
        try:
            partitions = consumer.list_topics(topic, timeout=CONNECT_S).topics[topic].partitions
        except KafkaException as error:
            raise ValueError(f"Kafka at {servers}: {error}") from None
        if not partitions:
            raise ValueError(f"Kafka at {servers} has no topic {topic!r}")
        # assign instead of subscribe: one agent reads all partitions and does not share them with other consumers
        consumer.assign([TopicPartition(topic, number, OFFSET_STORED) for number in partitions])
        while not stop.is_set():
            message = consumer.poll(POLL_S)
            if message is None:
                continue
            if message.error():
                logger.warning("Kafka at %s: %s", servers, message.error())
                continue
            payload = message.value() or b""
            try:
                pair = unpack(payload)
                if not isinstance(pair, list) or len(pair) != 2:
                    raise WireError(f"{len(payload)} bytes that are no document")
                yield checked(*pair)
            except WireError as error:
                logger.warning("left out of Kafka topic %s: %s", topic, error)
            consumer.commit(message=message, asynchronous=True)


class WireError(ValueError):
    """Raised if bytes are not a Bluesky document; the message gives the reason."""


def unpack(payload: bytes) -> Any:
    """Decode msgpack, with arrays in the format of msgpack-numpy.

    Raises WireError for invalid data, and for object arrays, because they are pickle.
    """
    try:
        # do not use msgpack.unpackb: bluesky_kafka calls msgpack_numpy.patch(), after which it reads pickle
        unpacker = Unpacker(None, object_hook=_array, strict_map_key=False, max_buffer_size=LARGEST)
        unpacker.feed(payload)
        value = unpacker.unpack()
        if unpacker.tell() != len(payload):
            raise WireError(f"the message has {len(payload)} bytes, but its value ends after {unpacker.tell()}")
        return value
    except WireError:
        raise
    except Exception as error:  # msgpack raises a dozen types of errors
        raise WireError(f"{len(payload)} bytes that are not msgpack ({type(error).__name__})") from None


def _array(value: dict[Any, Any]) -> Any:
    if b"nd" not in value:
        return value
    dtype = np.dtype(value[b"type"]) if isinstance(value[b"type"], str) else None
    if dtype is None or dtype.kind not in KINDS:
        raise WireError("an array of objects or records: numbers and text are taken")
    flat = np.frombuffer(value[b"data"], dtype)
    return flat.reshape(value[b"shape"]) if value[b"nd"] else flat[0]


def checked(name: Any, doc: Any) -> Document:
    """Return a document if it matches event-model's schema; raise WireError if not, or if its kind is unknown."""
    try:
        schema_validators[DocumentNames[name]].validate(doc)
    except (KeyError, TypeError):
        raise WireError(f"no kind of document is called {str(name)[:40]!r}") from None
    except jsonschema.ValidationError as error:
        raise WireError(f"{name} document: {error.message[:200]}") from None
    except (RecursionError, ValueError) as error:  # values nested too deeply, or too long to print
        raise WireError(f"{name} document: {type(error).__name__}") from None
    return name, doc


def file_documents(path: Path, *, by_schema: bool = True) -> Iterator[Document]:
    """Yield the documents of a ``.jsonl`` file, or of all such files in a folder, oldest file first.

    Lines without a document, such as the last line of a truncated file, are logged and left out. Documents that do not
    match event-model's schema are treated in the same way, unless `by_schema` is False, which is for a run that was
    accepted before. Raises ValueError if the file does not exist.
    """
    files = sorted(path.glob("*.jsonl"), key=lambda file: file.stat().st_mtime) if path.is_dir() else [path]
    if not all(file.is_file() for file in files):
        raise ValueError(f"no file {path}: give a .jsonl file, or a folder of them")
    for file in files:
        with file.open(errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = json.loads(line)
                    name, doc = record["name"], record["doc"]
                    if not isinstance(doc, dict):
                        raise TypeError(name)
                    yield checked(name, doc) if by_schema else (name, doc)
                except (json.JSONDecodeError, KeyError, TypeError):
                    logger.warning("left out %s, line %d: it holds no document", file, number)
                except WireError as error:
                    logger.warning("left out %s, line %d: %s", file, number, error)


def documents_of(run: Container) -> Iterator[Document]:
    """Yield the documents of a finished run, in the order of `RunReader.rest`, or as databroker keeps them.

    Raises KeyError if the run has no stop document.
    """
    stop = run.metadata["stop"]
    if stop is None:  # in a catalog of databroker
        raise KeyError("stop")
    yield from RunReader().rest(run)
    yield "stop", stop


@dataclass(frozen=True)
class WholeRun:
    """A finished run of a container that was read with all its streams; for `RunReader` it is like the run's client."""

    raw: Container
    uid: str
    metadata: Mapping[str, Any]
    streams: Sequence[tuple[str, Any]]

    @property
    def item(self) -> dict[str, Any]:
        """What Tiled's client keeps of a node; runs with access tags are not read in this way."""
        return {"id": self.uid, "attributes": {}}

    def __getitem__(self, stream: str) -> Any:
        """Ask the server for a stream."""
        return self.raw[self.uid, stream]


def streams_of(run: Container | WholeRun) -> Iterator[tuple[str, Any]]:
    """Yield the name and node of each stream of a run. Other nodes, such as a preview, are left out.

    One request reads all of them. The run's own client would ask for each stream.
    """
    if isinstance(run, WholeRun):
        yield from run.streams
        return
    nodes = Container(run.context, item=run.item, structure_clients=run.structure_clients, include_data_sources=True)
    for name, node in nodes.items():
        keys = node.metadata.get("data_keys")
        if isinstance(keys, Mapping) and "uid" in node.metadata and hasattr(node, "base"):
            yield name, node
        elif name == "streams" and isinstance(node, Container):  # as older versions of the TiledWriter stored runs
            yield from streams_of(node)


def runs_by_time(raw: Container, since: float | None = None) -> Container:
    """Return the runs of a catalog that started after `since`, in seconds since 1970, oldest first."""
    key = (
        "time" if _is_of_databroker(raw) else "start.time"
    )  # metadata of databroker's runs are searched without "start"
    return (raw if since is None else raw.search(Key(key) > since)).sort((key, 1))


def _is_of_databroker(node: Container) -> bool:
    """Return whether a catalog is one of databroker, or a run in it, which keeps the documents themselves.

    Such a catalog serves them with Resource and Datum, as the RunEngine emitted them (databroker 2.0,
    ``mongo_normalized.py``). What TiledWriter wrote has version 3 of the spec.
    """
    kinds = "BlueskyRun", "CatalogOfBlueskyRuns"
    return any(spec.name in kinds and str(spec.version).partition(".")[0] in ("1", "2") for spec in node.specs)


class RunReader:
    """Reads one run as documents. Each part is read once."""

    def __init__(self) -> None:
        self.is_over = False  # whether `follow` or `failed` yielded a stop document
        self._uid: str | None = None  # of the run; None before its start document
        self._descriptors: dict[str, Any] = {}  # metadata of streams by name
        self._tables: dict[str, Any] = {}  # nodes of the events by stream
        self._shown: dict[str, int] = {}  # indices by resource
        self._quiet = Quiet()

    def news(self, run: Container | WholeRun) -> Iterator[Document]:
        """Yield the start document, descriptors and frames that are new since the last call.

        A run of databroker is yielded once it has ended: all its documents but the last.
        """
        if not isinstance(run, WholeRun) and _is_of_databroker(run):
            if self._uid is None and run.metadata.get("stop"):
                documents = [(name, dict(doc)) for name, doc in run.documents(fill=False) if name != "stop"]
                self._uid = run.metadata["start"]["uid"]
                yield from documents
            return
        if self._uid is None:
            start, tags = run.metadata["start"], run.item["attributes"].get("access_tags")
            self._uid = start["uid"]
            yield "start", {**start, "tiled_access_tags": [*tags]} if tags else start
        for name, stream in streams_of(run):
            if name not in self._descriptors:
                about = self._descriptors[name] = stream.metadata
                yield "descriptor", {"run_start": self._uid, "name": name, "object_keys": {}, **about}
            parts = dict(stream.base.items())
            self._tables[name] = parts.get("internal")
            for key in set(self._descriptors[name]["data_keys"]) & set(parts):
                yield from self._frames(parts[key], name, key)

    def rest(self, run: Container | WholeRun) -> Iterator[Document]:
        """Yield the remaining documents of a run that ended: descriptors, events, then frames.

        The events come first because an analysis needs the readings before the frames. They contain only scalars. One
        StreamDatum announces the frames of each data source. If any part cannot be read, nothing is yielded, and the
        next call starts again at the same place.
        """
        before = self._uid, dict(self._descriptors), dict(self._shown)
        try:
            new = list(self.news(run))
            events = sorted(self._events(run), key=lambda document: document[1]["time"])
        except BaseException:
            self._uid, self._descriptors, self._shown = before
            raise
        yield from (document for document in new if not document[0].startswith("stream_"))
        yield from events
        yield from (document for document in new if document[0].startswith("stream_"))

    def follow(self, run: Container, *, abandoned_s: float) -> Iterator[Document]:
        """Yield the new documents of a growing run. After `abandoned_s` without any, yield a stop document."""
        last = run.metadata.get("stop")
        if not isinstance(last, Mapping | None):
            raise TypeError("its stop is no document")
        for document in self.news(run) if last is None else self.rest(run):
            self._quiet.over()
            yield document
        if last is not None:
            self.is_over = True
            yield "stop", dict(last)
        elif self._quiet.look() > abandoned_s:
            yield from self.rest(run)
            yield from self.failed(f"nothing came for {abandoned_s:.0f} s, and no stop document")

    def failed(self, reason: str) -> Iterator[Document]:
        """Yield a stop document with the reason, if the start document has been yielded."""
        self.is_over = True
        if self._uid is not None:
            stop = {"uid": str(uuid.uuid4()), "run_start": self._uid, "time": time.time()}
            yield "stop", stop | {"exit_status": "fail", "reason": reason}

    def _events(self, run: Container | WholeRun) -> Iterator[Document]:
        """Yield all events by stream. Tiled gets their tables in batches, so they are read at the end of a run."""
        counts = (run.metadata.get("stop") or {}).get("num_events")
        for name, about in self._descriptors.items():
            n = counts.get(name) if isinstance(counts, Mapping) else None
            is_table = any("external" not in key for key in about["data_keys"].values())
            table = _whole_table(run, name, self._tables[name], n if isinstance(n, int) and is_table else 0)
            keys = [key for key in about["data_keys"] if key in table and f"ts_{key}" in table]
            for row in table.to_dict("records"):
                event = {name: row[name] for name in ("seq_num", "time")}
                event |= {"uid": str(uuid.uuid4()), "descriptor": about["uid"], "filled": {}}
                data, times = {key: row[key] for key in keys}, {key: row[f"ts_{key}"] for key in keys}
                yield "event", event | {"data": data, "timestamps": times}

    def _frames(self, node: Any, stream: str, key: str) -> Iterator[Document]:
        stop = node.shape[0]
        for number, source in enumerate(node.data_sources()):
            files = [asset.data_uri for asset in source.assets]
            resource = f"{self._uid}/{stream}/{key}/{number}"
            if resource not in self._shown:
                about: dict[str, Any] = {"uid": resource, "run_start": self._uid, "data_key": key}
                about["mimetype"] = source.parameters.get("mimetype", source.mimetype)  # of a Rigaku, Tiled knows none
                uri = files[0] if len(files) == 1 else node.uri  # only Tiled knows the file of each frame
                about |= {"uri": uri, "parameters": dict(source.parameters)}
                self._shown[resource] = 0
                yield "stream_resource", about
            shown = self._shown[resource]
            if stop > shown:
                self._shown[resource] = stop
                datum = {"uid": f"{resource}/{shown}", "descriptor": self._descriptors[stream]["uid"]}
                datum |= {"indices": {"start": shown, "stop": stop}}
                datum |= {"seq_nums": {"start": shown + 1, "stop": stop + 1}}
                yield "stream_datum", datum | {"stream_resource": resource}


def _whole_table(run: Container | WholeRun, stream: str, node: Any, n: int) -> pd.DataFrame:
    """Read the events of a stream from its `node`. Read them again while there are fewer than `n`.

    All runs share one table of the server's database. Sometimes this table returned no rows of a run while the rows of
    another run were being written.
    """
    for pause in (*PAUSES_S, None):
        table = pd.DataFrame() if node is None else node.read()
        if len(table) >= n or pause is None:
            break
        time.sleep(pause)
        node = run[stream].base.get("internal")
    if len(table) < n:
        logger.warning("run %s: %d of %d events of stream %s are in Tiled", run.item["id"], len(table), n, stream)
    return table


class Quiet:
    """Measures how long a follower has looked without news.

    While the process is suspended, for example with its machine, it does not look. The RunEngine that it follows may be
    suspended as well, so this time does not count.
    """

    def __init__(self) -> None:
        self.over()

    def over(self) -> None:
        """Start again at zero, because there is news."""
        self._seconds, self._looked = 0.0, time.monotonic()

    def look(self) -> float:
        """Record a look without news, and return the seconds since the last news."""
        now = time.monotonic()
        self._seconds += min(now - self._looked, LONGEST_S)
        self._looked = now
        return self._seconds


class _Finder:
    """Finds the runs that a follower of a catalog has to read: at first all, then those that are new or grow.

    Tiled lists nodes in the order of creation, so new runs follow the last known one. If that one is at another place,
    a run was removed, or one was created earlier and shown later: then all are searched again.
    """

    def __init__(self, raw: Container, since: float) -> None:
        self._raw, self._since = raw, since
        self._n, self._last = 0, ""  # number of nodes up to the last known one, and its key
        self._without_start: set[str] = set()  # nodes that may become runs
        self._is_ordered = not _is_of_databroker(raw)

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
                logger.warning("Tiled is away: %s", error)
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
