"""New nodes in a container, as soon as a server with a stream tells of them."""

import logging
import threading
from collections.abc import Callable

from httpx import HTTPStatusError
from tiled.client.container import Container
from tiled.client.stream import ContainerSubscription

from ainerd.jobs import in_background
from ainerd.results._errors import FORBIDDEN

logger = logging.getLogger(__name__)

REFUSED = (
    "the key may not subscribe to commands (create:apikeys, revoke:apikeys): the agent asks for them every second "
    "while a plan waits, and for a minute after each, else every five"
)

AGAIN_S, LONGEST_S = 5.0, 300.0  # until a server that ended a stream, or has none, is asked for one again


class Stream:
    """Calls a function when a node is created in a container; a thread listens.

    A node may be missed: somebody has to look from time to time. A server without a stream tells of nothing.

    Parameters
    ----------
    container : callable
        Returns the container.
    created : callable
        Called in a thread of its own.
    level : int
        Of the line of the log that says that the key may not subscribe; the server is then not asked again.

    Attributes
    ----------
    hears : bool
        Whether the server tells of new nodes at present.
    """

    hears = False

    def __init__(
        self, container: Callable[[], Container], created: Callable[[], None], level: int = logging.WARNING
    ) -> None:
        self._container, self._created, self._level = container, created, level
        self._ends = threading.Event()
        self._subscription: ContainerSubscription | None = None
        in_background("ainerd-stream", self._listen)

    def close(self) -> None:
        """Listen no longer."""
        self._ends.set()
        if self._subscription is not None:
            self._subscription.disconnect()

    def _listen(self) -> None:
        pause_s = AGAIN_S
        while not self._ends.is_set():
            try:
                subscription = self._subscription = self._container().subscribe()
                subscription.child_created.add_callback(self._on_child)
                self.hears = not self._ends.is_set()
                if self.hears:
                    subscription.start()
                pause_s = AGAIN_S
            except Exception as error:  # a server without a stream refuses one in several ways
                logger.debug("Tiled has no stream of a container: %s: %s", type(error).__name__, error)
                if isinstance(error, HTTPStatusError) and error.response.status_code in FORBIDDEN:
                    logger.log(self._level, REFUSED)
                    return
                pause_s = min(2 * pause_s, LONGEST_S)
            self.hears = False
            self._ends.wait(pause_s)

    def _on_child(self, update: object) -> None:  # a method, because Tiled keeps a weak reference only
        self._created()
