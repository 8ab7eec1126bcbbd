"""A shutter that records when it was open, a motor that may not move, and a detector that may hang."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import bluesky.plans as bp
from ophyd import Signal
from ophyd.sim import NullStatus
from ophyd.status import Status

from ainerd.plans import visit

MOVE_S = 0.005


class Motor(Signal):
    """It reports "done" at once, and moves only if it `obeys`."""

    obeys = True

    def set(self, value, **options):
        if self.obeys:
            self.put(value)
        return NullStatus()


class Shutter:
    """Writes each of its movements to a file, with the time and the position of the motor, which is all that counts."""

    parent = None

    def __init__(self, path, motor, name="shutter"):
        self.path, self.motor, self.name = path, motor, name
        self.opened, self.closed = threading.Event(), threading.Event()

    def set(self, value):
        assert value in ("open", "close")
        status = Status()

        def move():
            if value == "open":
                self.note(value)
                self.closed.clear()
                self.opened.set()
            else:
                self.note(value)
                self.opened.clear()
                self.closed.set()
            status.set_finished()

        threading.Timer(MOVE_S, move).start()
        return status

    def note(self, value):
        line = f"{time.monotonic()} {value} {self.motor.get()}\n".encode()
        with open(self.path, "ab", buffering=0) as file:
            file.write(line)


def openings(path):
    """Times for which a shutter was open, each with the positions at its two ends."""
    times, since = [], None
    for line in Path(path).read_text().splitlines() if Path(path).exists() else []:
        at, value, where = line.split()
        if value == "open" and since is None:
            since = float(at), float(where)
        elif value == "close" and since is not None:
            times.append((float(at) - since[0], since[1], float(where)))
            since = None
    assert since is None, "the shutter is open"
    return times


class Detector(Signal):
    """Each trigger takes some seconds, or has no end."""

    takes_s, timer = 0.0, None

    def __init__(self, **options):
        super().__init__(**options)
        self.began = threading.Event()

    def begins(self):
        pass

    def trigger(self):
        self.begins()
        self.began.set()
        status = Status()
        if self.takes_s is not None:
            self.timer = threading.Timer(self.takes_s, lambda: status.done or status.set_finished())
            self.timer.start()
        return status


class Beamline:
    """One knob, a shutter, and a detector."""

    def __init__(self, folder, seconds=0.05):
        self.x = Motor(name="x", value=0.0)
        self.shutter = Shutter(folder / "shutter.txt", self.x)
        self.detector = Detector(name="detector", value=0.0)
        self.detector.takes_s = seconds
        self.folder = folder
        self.restart()

    def restart(self):
        """Make the plan as the next session does."""
        self.measure = visit(None, shutter=self.shutter, acquire=bp.count)

    def plan(self, x, id="a"):
        return self.measure([{"_id": id, "x": x}], [self.x], [self.detector])


def child(work):
    """Run some work in a forked child, which exits with 0 if it ends; return the child's number."""
    number = os.fork()
    if number == 0:
        with suppress(BaseException):
            work()
            os._exit(0)
        os._exit(3)
    return number
