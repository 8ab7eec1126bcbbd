"""The sources ``zmq://host:port`` and ``kafka://host:port/topic``: documents of Bluesky that other programs send."""

from ainerd_streams._streams import Kafka, WireError, ZeroMQ, unpack

__all__ = ["Kafka", "WireError", "ZeroMQ", "unpack"]
