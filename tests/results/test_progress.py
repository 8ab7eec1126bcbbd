"""A person at a terminal sees the name of a long step."""

import inspect
import io
import time

from ainerd.jobs import waiting

_progress = inspect.getmodule(waiting)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """Replace stderr by a terminal; pytest restores it after each fixture."""
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    return screen


def test_only_a_long_wait_is_announced(monkeypatch):
    screen = terminal(monkeypatch)
    with waiting("what is there at once"):
        pass
    monkeypatch.setattr(_progress, "PATIENCE_S", 0.0)
    with waiting("what takes long"):
        deadline = time.monotonic() + 30
        while not screen.getvalue() and time.monotonic() < deadline:
            time.sleep(0.001)
    assert screen.getvalue() == "ainerd: what takes long …\n"
