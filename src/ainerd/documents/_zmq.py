"""Documents from 0MQ, as `bluesky.callbacks.zmq.Publisher` sends them with msgpack as its serializer."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth

from ainerd.documents._wire import LARGEST, Document, WireError, checked, unpack

logger = logging.getLogger(__name__)

POLL_MS = 200
QUEUED = 100_000  # messages kept while the one before is handled
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Curve:
    """CURVE certificates, files as `zmq.auth.create_certificates` writes them.

    Attributes
    ----------
    secret, server : Path
        Ours, with the secret key; the server's public one, where we connect.
    """

    secret: Path
    server: Path | None = None


def zmq_documents(
    address: str, stop: threading.Event, *, bind: bool = False, curve: Curve | None = None
) -> Iterator[Document]:
    """Documents of publishers that connect to us, or of a proxy we connect to, until `stop` is set.

    What is no document is logged and left out. There is no replay: a run whose start was missed is not seen. `address`
    is ``host:port``; with `bind` we listen there. Keys are required to listen on anything but this machine.

    Raises
    ------
    ValueError
        If the address is none, is taken, or is open to the network without keys.
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
            if socket.poll(POLL_MS):
                try:
                    yield _document(socket.recv())
                except WireError as error:
                    logger.warning("left out of 0MQ %s: %s", address, error)


def _document(message: bytes) -> Document:
    """From ``prefix name payload``."""
    parts = message.split(b" ", 2)
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
