"""The run in progress as a picture, for pages that are open: made while frames come, kept by the server, not in Tiled.

Nothing waits for it. It is made in the worker between two blocks of frames, if a page has asked for one, nothing else
is to be done, and the last one is long ago; whatever goes wrong, the next one is tried later.
"""

import logging
import threading
import time
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from tiled.client.utils import ClientError

from ainerd.results import LiveNode, scan_text
from ainerd.runs import Jobs, Subject

logger = logging.getLogger(__name__)

EVERY_S = 1.5  # between two pictures
SHARE = 0.05  # of the worker's time that they may take
BUSY = 2  # documents that wait: with more of them no picture is made
SIDE = 128  # numbers along an axis, at most
REST_S = 30.0  # until a server is asked again that does not take pictures, or does not answer


class Live:
    """Makes pictures of runs in progress (`glance`, in the worker's thread) and takes them to the server (`send`).

    No picture is made while more than `BUSY` of its `jobs` wait.
    """

    def __init__(self, node: LiveNode, jobs: Jobs) -> None:
        self._node, self._jobs = node, jobs
        self._lock = threading.Lock()
        self._made: tuple[dict[str, Any], NDArray[np.float32]] | None = None  # and not sent yet
        self._is_wanted, self._is_shown = False, False
        self._next, self._rests_until = 0.0, 0.0

    def glance(self, subject: Subject) -> None:
        """Make a picture of what has come of a run, if it is time to."""
        now = time.monotonic()
        if not self._is_wanted or now < self._next or self._made is not None or self._jobs.backlog > BUSY:
            return
        try:
            if subject.analysis is None or (found := subject.analysis.so_far()) is None:
                return
            step = max(1, -(-max(found.shape) // SIDE))
            picture = np.ascontiguousarray(found[::step, ::step], "<f4")
            said = {
                "key": subject.key, "scan": scan_text(subject.run.start_doc.get("scan_id"), subject.event),
                "read": subject.n_read, "of": subject.n_frames, "frame_time_s": subject.run.frame_time_s,
            }  # fmt: skip
        except Exception:  # a picture is no reason to lose a run
            logger.exception("no picture of the run in progress")
            self._next = now + REST_S
            return
        with self._lock:
            self._made = said, picture
        self._next = now + max(EVERY_S, (time.monotonic() - now) / SHARE)

    def send(self, *, is_running: bool) -> None:
        """Take the newest picture to the server, which says whether a page wants another; forget it between runs."""
        if time.monotonic() < self._rests_until or not (is_running or self._is_shown):
            return
        with self._lock:
            made, self._made = self._made if is_running else None, None
        try:
            if made is not None:
                self._is_wanted, self._is_shown = self._node.show(*made), True
            elif is_running:
                self._is_wanted = self._node.is_wanted()
            else:
                self._node.forget()
                self._is_wanted = self._is_shown = False
        except (ClientError, httpx.HTTPError, KeyError, RuntimeError) as error:  # a closed client is a RuntimeError
            logger.debug("no picture of the run in progress: %s: %s", type(error).__name__, error)
            self._is_wanted, self._rests_until = False, time.monotonic() + REST_S
