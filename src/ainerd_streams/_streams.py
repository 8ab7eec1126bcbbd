"""Documents from 0MQ and Kafka, as msgpack with numpy arrays, which cannot execute code."""

import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any, ClassVar

import numpy as np
import zmq
from msgpack import Unpacker

from ainerd.documents import Document, checked
from ainerd.sources import Intake

logger = logging.getLogger(__name__)

POLL_S = 0.2
QUEUED = 100_000  # 0MQ messages that may wait while an earlier one is handled
CONNECT_S = 10.0  # longest wait for an answer of a Kafka broker
LARGEST = 64 * 2**20  # bytes of a message, which does not contain frames
KINDS = "biufcSU"  # accepted kinds of arrays: bool, numbers, text


class ZeroMQ:
    """Documents that `bluesky.callbacks.zmq.Publisher` sends through a proxy.

    Parameters
    ----------
    address : str
        ``host:port`` of the proxy.
    """

    usage: ClassVar[str] = "zmq://host:port (a proxy)"
    writes_runs: ClassVar[bool] = False

    def __init__(self, address: str) -> None:
        if not address:
            raise ValueError(f"a source without an address: give {self.usage}")
        self._address = address

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield the documents, in msgpack, that arrive until the intake stops.

        Messages that are not documents are logged and left out. 0MQ sends each message once, so a run whose start is
        missed is lost. Raises ValueError if the address is invalid.
        """
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.setsockopt(zmq.RCVHWM, QUEUED)
            socket.subscribe(b"")
            try:
                socket.connect(f"tcp://{self._address}")
            except zmq.ZMQError as error:
                raise ValueError(f"0MQ address {self._address}: {error}") from None
            while not intake.stop.is_set():
                if socket.poll(int(POLL_S * 1000)):
                    _, *named = socket.recv().split(b" ", 2)  # prefix, name, payload
                    try:
                        name, payload = named
                        yield checked(name.decode(errors="replace"), unpack(payload))
                    except ValueError as error:
                        logger.warning("a message is left out of 0MQ %s, it is no document: %s", self._address, error)


class Kafka:
    """Documents that `bluesky_kafka.Publisher` sends to a topic, ``host:port/topic``."""

    usage: ClassVar[str] = "kafka://host:port/topic"
    writes_runs: ClassVar[bool] = False

    def __init__(self, address: str) -> None:
        self._servers, _, self._topic = address.partition("/")
        if not (self._servers and self._topic):
            raise ValueError(f"{address!r} names no server and topic: give {self.usage}")

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield the documents, msgpack of (name, document), from where the last session stopped.

        Reading continues where the consumer group ``ainerd`` stopped, or starts with the oldest message. Messages count
        as read when no run is in progress. So a run that was interrupted arrives again, from its start. The host may be
        several, separated by commas. Raises ValueError if the client library is missing, no server answers, or the
        topic does not exist.
        """
        servers, topic = self._servers, self._topic
        try:
            from confluent_kafka import OFFSET_STORED, Consumer, KafkaException, TopicPartition
        except ImportError:
            raise ValueError("Kafka needs its client: pip install 'ainerd[kafka]'") from None
        settings = {"bootstrap.servers": servers, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        with closing(Consumer({**settings, "group.id": "ainerd"})) as consumer:
            try:
                partitions = consumer.list_topics(topic, timeout=CONNECT_S).topics[topic].partitions
            except KafkaException as error:
                raise ValueError(f"Kafka at {servers}: {error}") from None
            if not partitions:
                raise ValueError(f"Kafka at {servers} has no topic {topic!r}")
            # assign instead of subscribe: one agent reads all partitions and does not share them with other consumers
            consumer.assign([TopicPartition(topic, number, OFFSET_STORED) for number in partitions])
            run = None  # in progress, the newest one
            while not intake.stop.is_set():
                message = consumer.poll(POLL_S)
                if message is None:
                    continue
                if message.error():
                    logger.warning("Kafka at %s: %s", servers, message.error())
                    continue
                try:
                    name, doc = unpack(message.value() or b"")
                    yield checked(name, doc)
                    if name == "start":
                        run = doc["uid"]
                    elif name == "stop" and doc["run_start"] == run:
                        run = None
                except (TypeError, ValueError) as error:
                    logger.warning("a message is left out of Kafka topic %s, it is no document: %s", topic, error)
                if run is None:
                    consumer.commit(message=message, asynchronous=True)


class WireError(ValueError):
    """Raised if bytes are not a Bluesky document; the message gives the reason."""


def unpack(payload: bytes) -> Any:
    """Decode msgpack, with arrays in the format of msgpack-numpy.

    Raises WireError for invalid data, and for object arrays, because they are pickle.
    """
    if Unpacker.__module__ == "msgpack_numpy":  # its patch(), which bluesky_kafka calls, lets msgpack read pickle
        raise WireError("msgpack was patched to read pickle: import ainerd_streams before bluesky_kafka")
    try:
        unpacker = Unpacker(None, object_hook=_array, strict_map_key=False, max_buffer_size=LARGEST)
        unpacker.feed(payload)
        value = unpacker.unpack()
        if unpacker.tell() != len(payload):
            raise ValueError("they go on after a value")
        return value
    except Exception as error:  # msgpack raises a dozen types of errors
        raise WireError(f"{len(payload)} bytes that are not read ({type(error).__name__}): {error}") from None


def _array(value: dict[Any, Any]) -> Any:
    if b"nd" not in value:
        return value
    dtype = np.dtype(value[b"type"]) if isinstance(value[b"type"], str) else None
    if dtype is None or dtype.kind not in KINDS:
        raise WireError("an array of objects or records: numbers and text are taken")
    flat = np.frombuffer(value[b"data"], dtype)
    return flat.reshape(value[b"shape"]) if value[b"nd"] else flat[0]
