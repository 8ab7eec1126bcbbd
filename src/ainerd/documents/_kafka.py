"""Documents from Kafka, as `bluesky_kafka.Publisher` sends them: msgpack of (name, document)."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

from ainerd.documents._wire import Document, WireError, checked, unpack

logger = logging.getLogger(__name__)

POLL_S = 0.2
REACH_S = 10.0


def kafka_documents(
    servers: str, topic: str, stop: threading.Event, *, group: str = "ainerd", settings: dict[str, Any] | None = None
) -> Iterator[Document]:
    """Documents of a topic until `stop` is set, from where the group was when it left.

    A message counts as read once the next one is asked for, so one whose handling was cut short comes again. `servers`
    is ``host:port``, several with commas. A new `group` of consumers starts with the oldest message there is.
    `settings` are further ones of librdkafka, such as security.

    Raises
    ------
    ValueError
        If the client library is missing or refuses the settings, nothing answers, or there is no such topic.
    """
    try:
        from confluent_kafka import OFFSET_STORED, Consumer, KafkaException, TopicPartition
    except ImportError:
        raise ValueError("Kafka needs its client: pip install 'ainerd[kafka]'") from None
    wanted: dict[str, Any] = {"bootstrap.servers": servers, "group.id": group}
    wanted |= {"auto.offset.reset": "earliest", "enable.auto.commit": False}
    try:
        consumer = Consumer(wanted | (settings or {}))
    except (KafkaException, ValueError) as error:
        raise ValueError(f"Kafka at {servers}: {error}") from None
    try:
        try:
            partitions = consumer.list_topics(topic, timeout=REACH_S).topics[topic].partitions
        except KafkaException as error:
            raise ValueError(f"Kafka at {servers}: {error}") from None
        if not partitions:
            raise ValueError(f"Kafka at {servers} has no topic {topic!r}")
        # Assigned, not subscribed: one agent reads all, so there is nobody to share partitions with or to wait for.
        consumer.assign([TopicPartition(topic, number, OFFSET_STORED) for number in partitions])
        while not stop.is_set():
            message = consumer.poll(POLL_S)
            if message is None:
                continue
            if message.error():
                logger.warning("Kafka at %s: %s", servers, message.error())
                continue
            try:
                yield _document(message.value() or b"")
            except WireError as error:
                logger.warning("left out of Kafka topic %s: %s", topic, error)
            consumer.commit(message=message, asynchronous=True)
    finally:
        consumer.close()


def _document(payload: bytes) -> Document:
    message = unpack(payload)
    if not isinstance(message, list) or len(message) != 2:
        raise WireError(f"{len(payload)} bytes that are no document")
    return checked(*message)
