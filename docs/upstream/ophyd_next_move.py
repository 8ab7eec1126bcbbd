"""ophyd: a move that begins while the one before it ends never ends."""

# ruff: noqa: SLF001  # the fault is in private methods

import threading
import time
from importlib.metadata import version

from ophyd.positioner import PositionerBase
from ophyd.utils import StatusTimeoutError, WaitTimeoutError


class Stage(PositionerBase):
    """A stage whose move takes a hundredth of a second."""

    egu = "mm"

    def move(self, position, wait=True, **kwargs):
        """Begin a move, and return its status."""
        status = super().move(position, **kwargs)
        threading.Timer(0.01, self._done_moving).start()
        return status


stage = Stage(name="stage")
second = []
run_subs = stage._run_subs


def move_again(*args, sub_type, **kwargs):
    """Run the subscriptions; another thread starts the next move before ophyd removes them, as may happen by chance."""
    run_subs(*args, sub_type=sub_type, **kwargs)
    if sub_type == stage._SUB_REQ_DONE and not second:
        second.append(None)
        thread = threading.Thread(target=lambda: second.append(stage.move(2)))
        thread.start()
        thread.join()


first = stage.move(1)
stage._run_subs = move_again
first.wait(5)
try:
    while len(second) < 2:
        time.sleep(0.01)
    second[1].wait(2)
    ended = True
except (WaitTimeoutError, StatusTimeoutError):
    ended = False
print(f"ophyd {version('ophyd')}: the second move {'ended' if ended else 'did not end'}")
print("mended" if ended else "shown")
