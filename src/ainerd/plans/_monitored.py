"""Signals that are recorded during a run, and not after its end."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from ainerd.plans._limits import Device


def monitored(plan: MsgGenerator[object], signals: Sequence[Device]) -> MsgGenerator[Any]:
    """Record signals during the runs of a plan, as `bluesky.preprocessors.monitor_during_wrapper` does.

    A signal calls its subscribers in another thread. Bluesky makes an event of a call that comes late, after the stop
    document, and TiledWriter raises a KeyError then. Here such a call does nothing.
    """
    return (yield from bpp.monitor_during_wrapper(plan, [_Monitored(signal) for signal in signals]))


class _Monitored:
    """A signal that calls nobody any more once `clear_sub` has returned."""

    def __init__(self, signal: Device) -> None:
        self._signal, self.name, self.parent = signal, signal.name, getattr(signal, "parent", None)
        for method in ("read", "describe", "read_configuration", "describe_configuration"):
            if hasattr(signal, method):  # a signal of ophyd-async has no configuration
                setattr(self, method, getattr(signal, method))
        self._lock, self._passed = threading.RLock(), dict[Callable[..., Any], Callable[..., Any]]()

    def subscribe(self, callback: Callable[..., object], **options: object) -> object:
        def passed(*args: object, **kwargs: object) -> None:
            with self._lock:
                if callback in self._passed:
                    callback(*args, **kwargs)

        self._passed[callback] = passed
        return self._signal.subscribe(passed, **options)

    def clear_sub(self, callback: Callable[..., object]) -> None:
        with self._lock:  # a call in progress ends first
            passed = self._passed.pop(callback)
        self._signal.clear_sub(passed)
