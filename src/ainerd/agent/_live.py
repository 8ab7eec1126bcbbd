"""The picture of the run in progress, an array in Tiled that is written again and again."""

import logging
import time

import numpy as np
from numpy.typing import NDArray

from ainerd.jobs import Jobs
from ainerd.results import AgentNode, TiledError
from ainerd.runs import Unit

logger = logging.getLogger(__name__)

EVERY_S = 2.0  # between two pictures
BUSY = 2  # with more waiting documents no picture is made
SIDE = 128  # pixels of a picture along a side


class LivePicture:
    """Makes pictures of the run in progress between two blocks of frames, and writes the newest to Tiled.

    Nothing waits for them: if one fails, the next one is tried later.

    Parameters
    ----------
    node : AgentNode
    jobs : Jobs

    Attributes
    ----------
    shown : str or None
        uid of the run whose picture is in Tiled.
    """

    def __init__(self, node: AgentNode, jobs: Jobs) -> None:
        self._node, self._jobs = node, jobs
        self.shown: str | None = None
        self._made: tuple[str, NDArray[np.float32]] | None = None  # run and picture that is not sent yet
        self._next = 0.0

    def on_block(self, unit: Unit) -> None:
        """Make a picture of the unit in progress, if one is due. Called in the worker's thread."""
        now = time.monotonic()
        if now < self._next or self._made is not None or self._jobs.backlog > BUSY:
            return
        try:
            if unit.analysis is None or (whole := unit.analysis.so_far()) is None:
                return
            rows, columns = (np.linspace(0, n - 1, SIDE).astype(int) for n in whole.shape)
            self._made = str(unit.run.start_doc["uid"]), np.ascontiguousarray(whole[np.ix_(rows, columns)], "<f4")
        except Exception:  # a picture must not cost a run
            logger.exception("no picture of the run in progress")
        self._next = now + EVERY_S

    def send(self) -> None:
        """Write the newest picture."""
        made, self._made = self._made, None
        try:
            if made is not None:
                self._node.write_array("picture", made[1])
                self.shown = made[0]
        except (TiledError, KeyError) as error:
            logger.debug("no picture of the run in progress: %s: %s", type(error).__name__, error)
