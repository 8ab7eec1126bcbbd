"""New nodes in a container, as soon as a server with a stream tells of them."""

import logging
import threading
from collections.abc import Callable

from tiled.client.container import Container
from tiled.client.stream import ContainerSubscription

from ainerd.jobs import in_background

logger = logging.getLogger(__name__)

AGAIN_S = 5.0  # until a server that ended a stream, or has none, is asked for one again


class Stream:
    """Calls a function when a node is created in a container; a thread listens.

    A node may be missed: somebody has to look from time to time. A server without a stream tells of nothing.

    Parameters
    ----------
    container : callable
        Returns the container.
    created : callable
        Called in a thread of its own.
    """

    def __init__(self, container: Callable[[], Container], created: Callable[[], None]) -> None:
        self._container, self._created = container, created
        self._ends = threading.Event()
        self._subscription: ContainerSubscription | None = None
        in_background("ainerd-stream", self._listen)

    def close(self) -> None:
        """Listen no longer."""
        self._ends.set()
        if self._subscription is not None:
            self._subscription.disconnect()

    def _listen(self) -> None:
        while not self._ends.is_set():
            try:
                subscription = self._subscription = self._container().subscribe()
                subscription.child_created.add_callback(self._on_child)
                if not self._ends.is_set():
                    subscription.start()
            except Exception as error:  # a server without a stream refuses one in several ways
                logger.debug("Tiled has no stream of a container: %s: %s", type(error).__name__, error)
            self._ends.wait(AGAIN_S)

    def _on_child(self, update: object) -> None:  # a method, because Tiled keeps a weak reference only
        self._created()
