"""Documents from 0MQ and Kafka, as msgpack with numpy arrays, which cannot execute code."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import zmq
import zmq.auth

from ainerd.documents import LARGEST, Document, WireError, checked, unpack
from ainerd.sources._source import Intake

logger = logging.getLogger(__name__)

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

    Examples
    --------
    >>> from pathlib import Path
    >>> Curve(secret=Path("agent.key_secret"), server=Path("server.key")).server.name
    'server.key'
    """

    secret: Path
    server: Path | None = None


class ZeroMQ:
    """Documents that `bluesky.callbacks.zmq.Publisher` sends through a proxy.

    Parameters
    ----------
    address : str
        ``host:port`` of the proxy.
    curve : Curve, optional
        Certificates, if the proxy requires them.
    """

    usage: ClassVar[str] = "zmq://host:port (a proxy)"
    writes_runs: ClassVar[bool] = False
    listens: ClassVar[bool] = False

    def __init__(self, address: str, curve: Curve | None = None) -> None:
        if not address:
            raise ValueError(f"a source without an address: give {self.usage}")
        self._address, self._curve = address, curve

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield the documents that arrive."""
        return zmq_documents(self._address, intake.stop, bind=self.listens, curve=self._curve)


class ZeroMQListener(ZeroMQ):
    """Documents that publishers send to this process, which listens at ``host:port``."""

    usage: ClassVar[str] = "zmq+bind://127.0.0.1:port (publishers connect here)"
    listens: ClassVar[bool] = True


class Kafka:
    """Documents that `bluesky_kafka.Publisher` sends to a topic, ``host:port/topic``."""

    usage: ClassVar[str] = "kafka://host:port/topic"
    writes_runs: ClassVar[bool] = False

    def __init__(self, address: str) -> None:
        self._servers, _, self._topic = address.partition("/")
        if not (self._servers and self._topic):
            raise ValueError(f"{address!r} names no server and topic: give {self.usage}")

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield the documents from where the last session stopped."""
        return kafka_documents(self._servers, self._topic, intake.stop)


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
