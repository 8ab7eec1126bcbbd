"""Sources of documents: files, runs in Tiled, 0MQ and Kafka. One string names a source."""

import difflib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
from tiled.client.container import Container

from ainerd.documents._tiled import tiled_documents
from ainerd.documents._wire import LARGEST, Document, WireError, checked, file_documents, unpack

logger = logging.getLogger(__name__)

KNOWN = """tiled (follow the raw runs of the catalogue), zmq://host:port (a proxy), zmq+bind://127.0.0.1:port
(publishers connect here), kafka://host:port/topic, or a .jsonl file or a folder of them"""
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


def check_source(source: str) -> None:
    """Raise ValueError unless `source` names a source of documents. Nothing is opened."""
    scheme, _, address = source.partition("://")
    is_known = source == "tiled" or (scheme in ("zmq", "zmq+bind") and address)
    is_known = is_known or (scheme == "kafka" and address.partition("/")[2])
    if not is_known and not (source and not address and Path(source).exists()):
        close = difflib.get_close_matches(scheme, ["tiled", "zmq", "zmq+bind", "kafka"], 1)
        meant = f", did you mean {close[0]!r}?" if close and close[0] != scheme else ":"
        raise ValueError(f"no source {source!r}{meant} give {' '.join(KNOWN.split())}")


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
    check_source(source)
    scheme, _, address = source.partition("://")
    if source == "tiled":
        return tiled_documents(raw, stop, skip=skip)
    if scheme in ("zmq", "zmq+bind") and address:
        return zmq_documents(address, stop, bind=scheme == "zmq+bind", curve=curve)
    if scheme == "kafka":
        servers, _, topic = address.partition("/")
        return kafka_documents(servers, topic, stop)
    return file_documents(Path(source))


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
                try:
                    yield _from_zmq(socket.recv())
                except WireError as error:
                    logger.warning("left out of 0MQ %s: %s", address, error)


def _from_zmq(message: bytes) -> Document:
    parts = message.split(b" ", 2)  # prefix, name, payload
    if len(parts) != 3:
        raise WireError(f"{len(message)} bytes that are no document")
    return checked(parts[1].decode(errors="replace"), unpack(parts[2]))


def _secure(socket: zmq.Socket, curve: Curve, bind: bool) -> None:
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
    settings: dict[str, Any] = {"bootstrap.servers": servers, "group.id": "ainerd"}
    try:
        consumer = Consumer(settings | {"auto.offset.reset": "earliest", "enable.auto.commit": False})
    except (KafkaException, ValueError) as error:
        raise ValueError(f"Kafka at {servers}: {error}") from None
    try:
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
            try:
                yield _from_kafka(message.value() or b"")
            except WireError as error:
                logger.warning("left out of Kafka topic %s: %s", topic, error)
            consumer.commit(message=message, asynchronous=True)
    finally:
        consumer.close()


def _from_kafka(payload: bytes) -> Document:
    message = unpack(payload)
    if not isinstance(message, list) or len(message) != 2:
        raise WireError(f"{len(payload)} bytes that are no document")
    return checked(*message)
