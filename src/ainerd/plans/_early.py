"""Exposures that end early, because the frames so far are enough."""

import inspect
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg, MsgGenerator

logger = logging.getLogger(__name__)

STOP_S = 10.0  # longest wait for a detector that was told to stop
STEP_S = 0.05


class Early:
    """Stops the detector of an exposure when the analysis has said that the frames so far are enough.

    It works with any plan of an exposure in which the detector flies and is collected from while it does. A detector of
    ophyd is stopped by ``stop(success=True)``; one of ophyd-async, which has no such method, is unstaged. A detector
    that cannot stop early is named once, and its exposures go on.

    Parameters
    ----------
    enough : callable
        Returns why the frames of a run, given by its uid, are enough; None if they are not.
    """

    def __init__(self, enough: Callable[[str], str | None]) -> None:
        self._enough = enough
        self._named = set[str]()  # detectors that cannot stop early

    def ended(self, plan: MsgGenerator[str], detector: Any) -> MsgGenerator[str]:
        """Plan: run the plan of an exposure, and stop its detector when the frames so far are enough."""
        flight, uid, is_over = _Flight(detector), "", False

        def changed(message: Msg) -> tuple[MsgGenerator[Any] | None, MsgGenerator[Any] | None]:
            if message.command == "open_run":
                return opened(message), None
            if message.obj is not detector or is_over or detector.name in self._named:
                return None, None
            if message.command == "complete":
                return replaced(message), None
            return None, looked() if message.command == "collect" and flight.status is not None else None

        def replaced(message: Msg) -> MsgGenerator[Any]:
            return (yield message._replace(obj=flight))

        def opened(message: Msg) -> MsgGenerator[Any]:
            nonlocal uid
            uid = yield message

        def looked() -> MsgGenerator[None]:
            nonlocal is_over
            if not flight.done and self._enough(uid) is not None:
                is_over = True
                if (problem := (yield from flight.stop())) is not None:
                    self._name(detector, problem)

        taken: str = yield from bpp.plan_mutator(plan, changed)
        if flight.status is None:
            self._name(detector, "its frames are announced only after the last one, let it fly")
        return taken

    def _name(self, detector: Any, why: str) -> None:
        """Say once that a detector cannot stop early."""
        if detector.name not in self._named:
            self._named.add(detector.name)
            logger.warning("%s cannot stop early, its exposures take all frames: %s", detector.name, why)


class _Flight:
    """The flight of a detector, and its status for the RunEngine: done with that of the detector, or when stopped."""

    def __init__(self, detector: Any) -> None:
        self._detector, self.name = detector, detector.name
        self.status: Any = None  # of the detector
        self._end: Future[None] = Future()

    @property
    def done(self) -> bool:
        """Whether the flight has ended."""
        return self._end.done()

    @property
    def success(self) -> bool:
        """Whether the flight has ended without an error."""
        return self.done and self._end.exception() is None

    def kickoff(self) -> Any:
        """Start the detector; the RunEngine never calls this, but a flyer must have it."""
        return self._detector.kickoff()

    def complete(self) -> "_Flight":
        """Return the status of the flight."""
        self.status = self._detector.complete()
        self.status.add_callback(lambda status: self._ended(None if status.success else status.exception()))
        return self

    def add_callback(self, callback: Callable[[Any], object]) -> None:
        """Call a function when the flight has ended."""
        self._end.add_done_callback(lambda _: callback(self))

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """Return the error of the flight."""
        return self._end.exception(timeout)

    def stop(self) -> MsgGenerator[str | None]:
        """Plan: stop the detector; return why it goes on, or None."""
        task: Any = getattr(self.status, "task", None)
        stop = getattr(self._detector, "stop", None)
        if stop is None and task is None:
            return "it has no method stop"
        if stop is None:
            yield from bps.unstage(self._detector, wait=True)
            self._ended(None)  # the detector waits for frames that do not come any more
            task.cancel()
            return None

        errors: list[Exception] = []

        async def order() -> None:
            try:
                if inspect.isawaitable(answer := stop(success=True)):
                    await answer
            except Exception as error:
                errors.append(error)

        yield from bps.wait_for([order])
        if errors:
            return f"{type(errors[0]).__name__}: {errors[0]}"
        end = time.monotonic() + STOP_S
        while not self.done and time.monotonic() < end:
            yield from bps.sleep(STEP_S)
        return None if self.done else f"it was stopped, and had not ended {STOP_S:g} s later"

    def _ended(self, error: BaseException | None) -> None:
        with suppress(InvalidStateError):  # it has ended already
            if error is None:
                self._end.set_result(None)
            else:
                self._end.set_exception(error)
