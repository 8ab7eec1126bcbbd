"""One way to say where documents come from."""

import difflib
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


def check_source(source: str) -> None:
    """ValueError unless documents may come from a source of that name; nothing is opened."""
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
