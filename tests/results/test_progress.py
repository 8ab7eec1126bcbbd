"""A person at a terminal sees the name of a long step."""

import inspect
import io
import time

from ainerd.jobs import waiting
from ainerd.results import ResultStore

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


def test_many_items_have_a_bar_and_few_have_none(monkeypatch):
    screen = terminal(monkeypatch)
    assert list(_progress.counted(range(19), "few", 19)) == list(range(19)) and not screen.getvalue()
    assert list(_progress.counted(iter(range(20)), "reading arrays", 20)) == list(range(20))
    assert "reading arrays" in screen.getvalue()


def test_nothing_is_printed_without_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(_progress, "PATIENCE_S", 0.0)
    with waiting("a file"):
        time.sleep(0.05)
    assert list(_progress.counted(range(50), "a file", 50)) == list(range(50)) and not screen.getvalue()


def test_the_first_reading_of_a_store_is_announced(store, monkeypatch):
    terminal(monkeypatch)
    new, announced = ResultStore(store.container), []
    monkeypatch.setattr(_progress, "in_background", lambda name, say: announced.append(name))
    new.table()
    new.table()
    assert len(announced) == 1
