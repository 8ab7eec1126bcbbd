"""Documents from 0MQ and Kafka, as msgpack with numpy arrays, which cannot execute code."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import zmq
import zmq.auth
from event_model import DocumentNames, schema_validators
from msgpack.fallback import Unpacker

logger = logging.getLogger(__name__)

Document = tuple[str, dict[str, Any]]

LARGEST = 64 * 2**20  # bytes of a message, which does not contain frames
KINDS = "biufcSU"  # accepted kinds of arrays: bool, numbers, text
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

    Examples
    --------
    >>> unpack(bytes([0x81, 0xA1, 0x61, 1]))
    {'a': 1}
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
    """Return a document if it matches event-model's schema; raise WireError if not, or if its kind is unknown.

    Examples
    --------
    >>> name, doc = checked("stop", {"uid": "a", "run_start": "b", "time": 0.0, "exit_status": "success"})
    >>> name
    'stop'
    """
    try:
        schema_validators[DocumentNames[name]].validate(doc)
    except (KeyError, TypeError):
        raise WireError(f"no kind of document is called {str(name)[:40]!r}") from None
    except jsonschema.ValidationError as error:
        raise WireError(f"{name} document: {error.message[:200]}") from None
    except (RecursionError, ValueError) as error:  # values nested too deeply, or too long to print
        raise WireError(f"{name} document: {type(error).__name__}") from None
    return name, doc
