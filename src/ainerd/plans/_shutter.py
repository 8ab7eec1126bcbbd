"""The shutter of an exposure: it opens for the frames of a plan, and closes however the plan ends."""

import asyncio
import inspect
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from types import FrameType
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg, MsgGenerator

from ainerd.processes import call_before_exit

logger = logging.getLogger(__name__)

MOVE_S = 5.0  # longest wait for the shutter to close
LOOP_S = 1.0  # longest wait for the event loop of the RunEngine, a lock, or the end of the opening
RETRY_S = 1.0
BEGINNING, ENDING = ("open_run", "stage", "kickoff", "trigger"), ("close_run", "unstage")  # commands of an exposure
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)


class ShutterError(RuntimeError):
    """Raised in a plan if its shutter does not move."""


class Interrupted(Exception):  # noqa: N818  (no error: the exposure is taken again)
    """Ends an exposure whose shutter was closed from outside the plan."""


class Guard:
    """Opens a shutter for one exposure after another, and closes it in any case.

    The RunEngine calls `stop` and `pause` at a pause, a suspension, a halt and the end of a plan. A thread closes the
    shutter at the end of the interpreter, and at the signals of `SIGNALS`; it needs neither the RunEngine nor the
    detector. This is no interlock: nothing closes the shutter after ``kill -9``.

    Parameters
    ----------
    shutter : device or None
        It accepts "open" and "close". Without a shutter the guard does nothing: the beam is always open.
    """

    parent = None

    def __init__(self, shutter: Any) -> None:
        self.name = str(getattr(shutter, "name", ""))
        self._shutter, self._is_armed = shutter, False
        self._fault: Exception | None = None
        self._watch: _Watch | None = None

    def exposure(self, plan: MsgGenerator[str]) -> MsgGenerator[str]:
        """Plan: run the plan of an exposure, which may contain `open`, and close the shutter when it ends.

        Raises
        ------
        Interrupted
            When the RunEngine goes on after a pause. The plan is not continued, because its frames would be dark.
        ShutterError
            If the shutter does not close.
        """
        uid: str
        if self._shutter is None:
            uid = yield from bpp.finalize_wrapper(plan, self.close)
            return uid
        self._fault, self._is_armed = None, True
        try:
            yield Msg("null", self)  # from now on the RunEngine tells the guard about a pause
            ended = bpp.finalize_wrapper(self._until_fault(plan), self.close)
            uid = yield from bpp.rewindable_wrapper(ended, False)
        finally:
            self._is_armed = False
            if self._watch is not None:  # after a halt
                self._watch.close_soon(None)
        if self._fault is not None:  # the plan has hidden it
            raise self._fault
        return uid

    def open(self) -> MsgGenerator[None]:
        """Plan: open the shutter."""
        if self._shutter is not None:
            yield from bps.abs_set(self, "open", wait=True)

    def close(self) -> MsgGenerator[None]:
        """Plan: close the shutter, if it is open.

        Raises ShutterError if it does not close. Attempts to close it go on then.
        """
        if (watch := self._watch) is None:
            return
        watch.close_soon(None)
        end = time.monotonic() + 2 * (LOOP_S + MOVE_S)
        while not watch.tried.done() and time.monotonic() < end:  # a pause cuts the wait short
            yield from bps.wait_for([watch.has_tried])
        self._watch = None
        problem = watch.tried.result() if watch.tried.done() else "it does not answer"
        if problem is not None:
            raise ShutterError(f"{self.name} does not close, look after it: {problem}")

    def set(self, value: str) -> Any:
        """Open the shutter, as a device does; the RunEngine calls this."""
        if self._fault is not None:
            raise self._fault
        if any(watch.shutter is self._shutter for watch in _watches):
            raise ShutterError(f"{self.name} did not close after an earlier exposure, look after it")
        self._watch = _Watch(self._shutter, self.name, self._fail)
        return self._watch.open(value)

    async def stop(self, *, success: bool = True) -> None:
        """Close the shutter; the RunEngine calls this when a plan pauses or ends."""
        await self.pause()

    async def pause(self) -> None:
        """Close the shutter, and end the exposure when the plan goes on; the RunEngine calls this at a pause."""
        paused = Interrupted("spoilt: the shutter was closed because the plan was interrupted")
        if self._is_armed and self._fault is None:
            self._fault = paused
        if self._watch is not None:
            self._watch.close_soon(None)
            await self._watch.has_tried()

    def resume(self) -> None:
        """Do nothing: the exposure is taken again."""

    def _fail(self, fault: Exception) -> None:
        """End the exposure with an exception, at the next message of its plan."""
        if self._is_armed and self._fault is None:
            self._fault = fault

    def _until_fault(self, plan: MsgGenerator[str]) -> MsgGenerator[str]:
        """Run a plan, and throw the fault into it when there is one, unless it ends with another error already."""
        act: Callable[[Any], Msg] = plan.send
        value: Any = None
        is_ending = False
        while True:
            try:
                message = act(value)
            except StopIteration as end:
                uid: str = end.value
                return uid
            if self._fault is None and message.command in (*BEGINNING, *ENDING):
                # when all frames are there, a fault would only cut the end of the plan short
                self._is_armed = message.command in BEGINNING
            try:
                act, value = plan.send, (yield message)
            except BaseException as error:  # of the RunEngine
                act, value, is_ending = plan.throw, error, True
            if self._fault is not None and not is_ending:
                act, value, is_ending = plan.throw, self._fault, True


def taken_again(take: Callable[[], MsgGenerator[str]]) -> MsgGenerator[str]:
    """Plan: take an exposure, and again if its shutter was closed from outside."""
    while True:
        try:
            return (yield from take())
        except Interrupted as interrupted:
            logger.warning("%s: the exposure is taken again", interrupted)


class _Watch(threading.Thread):
    """Closes the shutter on request."""

    def __init__(self, shutter: Any, name: str, fail: Callable[[Exception], object]) -> None:
        super().__init__(name="ainerd-shutter", daemon=True)
        self.shutter, self._name, self._fail = shutter, name, fail
        self.tried: Future[str | None] = Future()  # the problem of the first attempt to close; None if it is closed
        self._orders: SimpleQueue[Exception | None] = SimpleQueue()  # signal handlers may use it
        self._lock, self._is_closing = threading.Lock(), False
        self._opening: Any = None
        self._loop = asyncio.get_running_loop()

    def open(self, value: str) -> Any:
        """Open the shutter, and return the status of its movement."""
        _watches.add(self)
        try:
            if _ending:
                raise ShutterError(f"{self._name} is not opened, because the process ends")
            self.start()
        except RuntimeError:  # also of a thread that cannot start
            _watches.discard(self)
            self.tried.set_result(None)
            raise
        with self._lock:
            if self._is_closing:
                raise ShutterError(f"{self._name} is not opened, because it is being closed")
            self._opening = self.shutter.set(value)
        return self._opening

    def close_soon(self, why: Exception | None) -> None:
        """Tell the thread to close the shutter; with an exception, which ends the exposure."""
        self._orders.put(why)

    async def has_tried(self) -> None:
        """Wait until the shutter is closed, or until the first attempt has failed."""
        if not self.tried.done():
            await asyncio.wait([asyncio.wrap_future(self.tried)], timeout=MOVE_S)

    def run(self) -> None:
        """Wait, and close the shutter."""
        if (why := self._orders.get()) is not None:
            self._fail(why)
        while True:
            try:
                self._close()
                break
            except Exception as error:
                problem = f"{type(error).__name__}: {error}".rstrip(": ")
                logger.error("%s does not close (%s): look after it; ainerd tries again", self._name, problem)
                if not self.tried.done():
                    self.tried.set_result(problem)
            time.sleep(RETRY_S)
        _watches.discard(self)
        if not self.tried.done():
            self.tried.set_result(None)

    def _close(self) -> None:
        """Close the shutter, and return when it is closed."""
        is_free = self._lock.acquire(timeout=LOOP_S)
        self._is_closing = True
        if is_free:
            self._lock.release()
        end = time.monotonic() + LOOP_S
        while self._opening is not None and not self._opening.done and time.monotonic() < end:
            time.sleep(0.01)  # else the shutter might take the second order first
        if inspect.isawaitable(self._opening):  # of ophyd-async, which needs an event loop
            self._close_in_loop()
        else:
            _wait_for(self.shutter.set("close"))

    def _close_in_loop(self) -> None:
        """Close the shutter in the event loop that opened it, or in a new one if that hangs."""

        async def closing() -> None:
            await asyncio.wait_for(self.shutter.set("close"), MOVE_S)

        if _answers(self._loop):
            asyncio.run_coroutine_threadsafe(closing(), self._loop).result(MOVE_S + LOOP_S)
        else:
            asyncio.run(closing())


def _wait_for(status: Any) -> None:
    """Wait for the status of a device, and raise its error."""
    done = threading.Event()
    status.add_callback(lambda *_: done.set())
    if not done.wait(MOVE_S):
        raise TimeoutError(f"no answer in {MOVE_S:g} s")
    if not status.success:
        raise status.exception() or ShutterError("it failed")


def _answers(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether an event loop of another thread runs and is not blocked."""
    if not loop.is_running():
        return False
    answered = threading.Event()
    loop.call_soon_threadsafe(answered.set)
    return answered.wait(LOOP_S)


_watches: set[_Watch] = set()  # of all shutters that are open
_ending = 0  # above 0 while no shutter may open
_before: dict[int, Any] = {}  # handlers of signals before ours


def catch_signals() -> None:
    """Close all shutters at signals that end or stop the process, before the present handlers of these are called.

    It does nothing outside of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if handler in (None, signal.SIG_IGN) or getattr(handler, "is_ainerds", False):
            continue
        _before[number] = handler
        signal.signal(number, _handler_before(handler))


def _handler_before(handler: Any) -> Callable[[int, FrameType | None], None]:
    def close_first(number: int, frame: FrameType | None) -> None:
        global _ending
        _ending += 1
        try:
            _close_all(signal.Signals(number).name)
            if callable(handler):
                handler(number, frame)
            else:
                signal.signal(number, signal.SIG_DFL)
                signal.pthread_kill(threading.get_ident(), number)  # ends or stops the process here
                signal.signal(number, close_first)  # it goes on: it was only stopped
        finally:
            _ending -= 1

    close_first.is_ainerds = True  # type: ignore[attr-defined]
    return close_first


def _close_all(reason: str) -> None:
    """Close all shutters, and wait until they are closed."""
    watches = list(_watches)
    for watch in watches:
        watch.close_soon(Interrupted(f"spoilt: the shutter was closed because of {reason}"))
    wait([watch.tried for watch in watches], MOVE_S + LOOP_S)


def _close_at_exit() -> None:
    global _ending
    _ending += 1
    _close_all("the end of the process")


def _forget() -> None:
    """In a forked child, leave shutters and signals alone."""
    _watches.clear()
    for number, handler in _before.items():
        if getattr(signal.getsignal(number), "is_ainerds", False):
            signal.signal(number, handler)
    _before.clear()


os.register_at_fork(after_in_child=_forget)
call_before_exit(_close_at_exit)
catch_signals()  # here, because plans run in another thread, where signals cannot be caught
