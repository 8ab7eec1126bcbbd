"""One way to say where documents come from."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tiled.client.container import Container

from ainerd.documents._files import file_documents
from ainerd.documents._follow import tiled_documents
from ainerd.documents._kafka import kafka_documents
from ainerd.documents._wire import Document
from ainerd.documents._zmq import Curve, zmq_documents

KNOWN = """tiled (follow the raw runs of the catalogue), zmq://host:port (a proxy), zmq+bind://127.0.0.1:port
(publishers connect here), kafka://host:port/topic, or a .jsonl file or a folder of them"""


def open_documents(
    source: str,
    stop: threading.Event,
    *,
    raw: Container,
    skip: Callable[[Container], bool] = lambda run: False,
    curve: Curve | None = None,
) -> Iterator[Document]:
    """Documents from a source named in words.

    Parameters
    ----------
    source : str
        ``tiled``, ``zmq://host:port``, ``zmq+bind://127.0.0.1:port``, ``kafka://host:port/topic``, or the path of a
        ``.jsonl`` file or of a folder of them.
    stop : threading.Event
        Set to end sources that have no end.
    raw : tiled.client.container.Container
        The raw runs, for ``tiled``.
    skip : callable
        Whether a run need not be looked at; for ``tiled``.
    curve : Curve, optional
        For 0MQ.

    Raises
    ------
    ValueError
        If there is no such source.
    """
    scheme, _, address = source.partition("://")
    if source == "tiled":
        return tiled_documents(raw, stop, skip=skip)
    if scheme in ("zmq", "zmq+bind") and address:
        return zmq_documents(address, stop, bind=scheme == "zmq+bind", curve=curve)
    if scheme == "kafka" and address.partition("/")[2]:
        servers, _, topic = address.partition("/")
        return kafka_documents(servers, topic, stop)
    if source and not address and Path(source).exists():
        return file_documents(Path(source))
    raise ValueError(f"no source {source!r}: give {' '.join(KNOWN.split())}")
