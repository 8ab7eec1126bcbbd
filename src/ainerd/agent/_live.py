"""Pictures of the run in progress, for pages in other processes.

The server keeps pictures in memory, not in Tiled. Nothing waits for them: if one fails, the next one is tried later.
"""

import logging
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.jobs import Jobs
from ainerd.results import LiveNode, TiledError
from ainerd.runs import Subject
from ainerd.words import scan_text

logger = logging.getLogger(__name__)

PICTURE_EVERY_S = 1.5  # between two pictures
SHARE = 0.05  # of the worker's time that pictures may take
BUSY = 2  # with more waiting documents no picture is made
SIDE = 128  # most pixels of a picture along a side
REST_S = 30.0  # pause after a server did not accept a picture


class LivePicture:
    """Makes pictures of the run in progress between two blocks of frames, and sends them to the server.

    A picture is made if a page requests one, few jobs wait, and the last picture is old enough.

    Parameters
    ----------
    node : LiveNode
    jobs : Jobs
    """

    def __init__(self, node: LiveNode, jobs: Jobs) -> None:
        self._node, self._jobs = node, jobs
        self._made: tuple[dict[str, Any], NDArray[np.float32]] | None = None  # not sent yet
        self._is_wanted, self._is_shown = False, False
        self._next, self._rests_until = 0.0, 0.0

    def on_block(self, subject: Subject) -> None:
        """Make a picture of the unit in progress, if one is due. Called in the worker's thread."""
        now = time.monotonic()
        if not self._is_wanted or now < self._next or self._made is not None or self._jobs.backlog > BUSY:
            return
        try:
            if subject.analysis is None or (whole := subject.analysis.so_far()) is None:
                return
            step = max(1, -(-max(whole.shape) // SIDE))
            picture = np.ascontiguousarray(whole[::step, ::step], "<f4")
            metadata = {
                "key": subject.key, "scan": scan_text(subject.run.start_doc.get("scan_id"), subject.event),
                "read": subject.n_read, "of": subject.n_own, "frame_time_s": subject.run.frame_time_s,
            }  # fmt: skip
        except Exception:  # a picture must not cost a run
            logger.exception("no picture of the run in progress")
            self._next = now + REST_S
            return
        self._made = metadata, picture
        self._next = now + max(PICTURE_EVERY_S, (time.monotonic() - now) / SHARE)

    def send(self, *, is_running: bool) -> None:
        """Send the newest picture to the server. The answer is whether a page wants another one.

        Between runs remove the picture from the server.
        """
        if time.monotonic() < self._rests_until or not (is_running or self._is_shown):
            return
        made, self._made = self._made if is_running else None, None
        try:
            if made is not None:
                self._is_wanted, self._is_shown = self._node.show(*made), True
            elif is_running:
                self._is_wanted = self._node.is_wanted()
            else:
                self._node.forget()
                self._is_wanted = self._is_shown = False
        except (TiledError, KeyError) as error:
            logger.debug("no picture of the run in progress: %s: %s", type(error).__name__, error)
            self._is_wanted, self._rests_until = False, time.monotonic() + REST_S
