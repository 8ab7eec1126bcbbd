"""Losses of beam: a suspender that counts them, and the repetition of an exposure during which the beam was lost."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.suspenders import SuspendFloor
from bluesky.utils import Msg, MsgGenerator
from rich.text import Text

from ainerd.agent._display import say
from ainerd.runs import SPOILT
from ainerd.steering import answer_of

logger = logging.getLogger(__name__)

REASON = f"{SPOILT}: the beam was lost while frames came"
TRIES = 100


class Beam(SuspendFloor):
    """A bluesky suspender that counts losses of beam: ``RE.install_suspender(Beam(i0, 1e4))``.

    Parameters
    ----------
    monitor : signal
    threshold : float
        The beam is lost if the monitor is below this value.
    back_above : float, optional
        The beam is back if the monitor is at or above this value; default: `threshold`.
    settle_s : float
        Time to wait after the beam is back.

    Examples
    --------
    >>> from ophyd import Signal
    >>> i0 = Signal(name="i0", value=5e4)
    >>> beam = Beam(i0, 1e4)
    >>> RE.install_suspender(beam)
    >>> for counts in (4e4, 2e4, 0.0, 10.0):
    ...     i0.put(counts)
    >>> beam.losses, beam.tripped  # plans wait until it is back
    (1, True)
    """

    def __init__(
        self, monitor: Any, threshold: float, *, back_above: float | None = None, settle_s: float = 0.0
    ) -> None:
        super().__init__(monitor, threshold, resume_thresh=back_above, sleep=settle_s)  # type: ignore[no-untyped-call]
        self.losses = 0
        self._pool = ThreadPoolExecutor(1, "ainerd-beam")

    def install(self, RE: Any, *, event_type: str | None = None) -> None:
        """Subscribe to the monitor."""
        if hasattr(self._sig, "subscribe_reading"):  # of ophyd-async
            self.RE = RE
            self._in_loop(self._sig.subscribe_reading, self)
            if not _is_in_event_loop():
                self._pool.submit(lambda: None).result()  # the present value is known, unless it is still to come
        else:
            super().install(RE, event_type=event_type)  # type: ignore[no-untyped-call]

    def remove(self) -> None:
        """Unsubscribe."""
        self._in_loop(super().remove)

    def __call__(self, value: Any, **kwargs: Any) -> None:
        """Take a value of the monitor, or a reading of ophyd-async."""
        if isinstance(value, Mapping):
            (value,) = (reading["value"] for reading in value.values())
        if self._should_suspend(value) and not self.tripped:  # type: ignore[no-untyped-call]
            self.losses += 1
        if _is_in_event_loop():  # which bluesky 1.14 would wait for
            self._pool.submit(self._take, value)
        else:
            self._take(value)

    def _take(self, value: Any) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                super().__call__(value)  # type: ignore[no-untyped-call]
                return
            except RuntimeError:  # the event loop of a busy RunEngine did not answer within a tenth of a second
                if not tries_left:
                    logger.exception("the beam is %g, but the RunEngine cannot suspend for it", value)

    def _in_loop(self, call: Callable[..., object], *args: Any) -> None:
        """Call in the event loop of the RunEngine, where signals of ophyd-async live, from there or from elsewhere."""
        if _is_in_event_loop() or not hasattr(self._sig, "subscribe_reading"):
            call(*args)
            return

        async def calling() -> None:
            call(*args)

        answer_of(calling())

    def _get_justification(self) -> str:
        name, least = self._sig.name, self._suspend_thresh
        return f"ainerd: no beam, {name} is below {least:g}; the plan goes on when it is back" if self.tripped else ""


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def retaking(
    measure: Callable[..., MsgGenerator[tuple[str, ...]]], beam: Callable[[], Beam | None]
) -> Callable[..., MsgGenerator[tuple[str, ...]]]:
    """Return an acquisition plan that repeats an exposure during which the beam was lost.

    Parameters
    ----------
    measure : callable
        Acquisition plan of bluesky-adaptive, such as `ainerd.steering.visit` makes.
    beam : callable
        Returns the suspender of the RunEngine, or None.

    Examples
    --------
    >>> from ainerd.steering import visit
    >>> from ophyd import Signal
    >>> beam, ended = Beam(Signal(name="i0", value=5e4), 1e4), []
    >>> def watch(name, document):
    ...     if name == "stream_datum" and not beam.losses:
    ...         beam.losses = 1  # as if the beam had been lost while frames came
    ...     if name == "stop":
    ...         ended.append(document["exit_status"])
    >>> measure = retaking(visit(None), lambda: beam)
    >>> uids = RE(measure([{"_id": "1", "sample_x": 3.0}], [sample_x], [lambda750k]), watch)
    ainerd: the beam was lost while frames came: the exposure is taken again
    >>> ended, sample_x.position
    (['fail', 'success'], 3.0)
    """

    def repeating(
        suggestions: Sequence[Mapping[str, Any]],
        actuators: Sequence[Any],
        sensors: Sequence[Any] | None = None,
        md: Mapping[str, Any] | None = None,
    ) -> MsgGenerator[tuple[str, ...]]:
        suspender = beam()
        uids: list[str] = []
        for suggestion in suggestions:
            while True:
                mark = _Mark(suspender)
                measured = yield from bpp.msg_mutator(measure([suggestion], actuators, sensors, md), mark)
                if not mark.is_spoilt:
                    break
                say(Text("ainerd: the beam was lost while frames came: the exposure is taken again", "yellow"))
            uids += measured
        return tuple(uids)

    return repeating


class _Mark:
    """Marks the stop document of a fly run if the beam was lost. For other runs bluesky itself rewinds the plan."""

    def __init__(self, beam: Beam | None) -> None:
        self._beam, self.is_spoilt = beam, False
        self._losses: int | None = None  # number of losses when the detector was kicked off

    def __call__(self, message: Msg) -> Msg:
        if self._beam is None:
            return message
        if message.command == "kickoff":
            self._losses = self._beam.losses
        elif message.command == "close_run" and self._losses is not None and not message.kwargs.get("exit_status"):
            self.is_spoilt, self._losses = self._beam.losses > self._losses, None
            if self.is_spoilt:
                return message._replace(kwargs={**message.kwargs, "exit_status": "fail", "reason": REASON})
        return message
