"""Beam that is lost: every plan waits until it is back, and the agent takes again the exposure that it was lost in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.suspenders import SuspendFloor
from bluesky.utils import Msg, MsgGenerator
from rich.text import Text

from ainerd.agent._saying import say
from ainerd.runs import SPOILT

REASON = f"{SPOILT}: the beam was lost while frames came"
TRIES = 100


class Beam(SuspendFloor):
    """A suspender of bluesky's that counts how often the beam was lost: ``RE.install_suspender(Beam(i0, 1e4))``.

    Parameters
    ----------
    monitor : signal
    threshold : float
        Below it the beam is lost.
    back_above : float, optional
        From here on it is back; `threshold` without it.
    settle_s : float
        How long to wait then.
    """

    def __init__(
        self, monitor: Any, threshold: float, *, back_above: float | None = None, settle_s: float = 0.0
    ) -> None:
        super().__init__(monitor, threshold, resume_thresh=back_above, sleep=settle_s)
        self.losses = 0

    def __call__(self, value: Any, **kwargs: Any) -> None:
        """Take a value of the monitor."""
        if self._should_suspend(value) and not self.tripped:
            self.losses += 1
        for tries_left in reversed(range(TRIES)):
            try:
                return super().__call__(value, **kwargs)
            except RuntimeError:  # it gives the loop of a busy RunEngine a tenth of a second
                if not tries_left:
                    raise

    def _get_justification(self) -> str:
        name, least = self._sig.name, self._suspend_thresh
        return f"ainerd: no beam, {name} is below {least:g}; the plan goes on when it is back" if self.tripped else ""


def retaking(
    measure: Callable[..., MsgGenerator[tuple[str, ...]]], beam: Callable[[], Beam | None]
) -> Callable[..., MsgGenerator[tuple[str, ...]]]:
    """An acquisition plan that takes an exposure again if the beam was lost while frames came.

    Parameters
    ----------
    measure : callable
        Acquisition plan of bluesky-adaptive, such as `ainerd.steering.visit` makes.
    beam : callable
        The suspender of the RunEngine; None where there is none.
    """

    def again(
        suggestions: Sequence[Mapping[str, Any]],
        actuators: Sequence[Any],
        sensors: Sequence[Any] | None = None,
        md: Mapping[str, Any] | None = None,
    ) -> MsgGenerator[tuple[str, ...]]:
        watched = beam()
        uids: list[str] = []
        for suggestion in suggestions:
            while True:
                mark = _Mark(watched)
                taken = yield from bpp.msg_mutator(measure([suggestion], actuators, sensors, md), mark)
                if not mark.spoilt:
                    break
                say(Text("ainerd: the beam was lost while frames came: the exposure is taken again", "yellow"))
            uids += taken
        return tuple(uids)

    return again


class _Mark:
    """Has a run say in its stop document that the beam was lost; of runs that fly: bluesky itself rewinds others."""

    def __init__(self, beam: Beam | None) -> None:
        self._beam, self.spoilt = beam, False
        self._losses: int | None = None  # when the detector was kicked off

    def __call__(self, message: Msg) -> Msg:
        if self._beam is None:
            return message
        if message.command == "kickoff":
            self._losses = self._beam.losses
        elif message.command == "close_run" and self._losses is not None and not message.kwargs.get("exit_status"):
            self.spoilt, self._losses = self._beam.losses > self._losses, None
            if self.spoilt:
                return message._replace(kwargs={**message.kwargs, "exit_status": "fail", "reason": REASON})
        return message
