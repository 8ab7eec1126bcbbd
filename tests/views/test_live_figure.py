"""Only the main thread draws, and a run survives a failing drawing and a closed window."""

import inspect
import subprocess
import sys
import textwrap
import threading

import bluesky.plan_stubs as bps
import matplotlib
import pandas as pd
import pytest
from bluesky import RunEngine
from matplotlib import pyplot

from ainerd.agent import WhileRunning
from ainerd.views import LiveFigure, Scene, refresh_all

live_module = inspect.getmodule(LiveFigure)
NOTHING = pd.DataFrame({"status": [], "regime": [], "novel": []})


def empty_scene():
    return Scene(table=NOTHING, embeddings=pd.DataFrame(), alpha=0.05, bounds={"x": (0, 1), "y": (0, 1)})


@pytest.fixture(autouse=True)
def agg():
    matplotlib.use("Agg")
    yield
    pyplot.close("all")


@pytest.fixture
def drawn(monkeypatch):
    """Names of the threads that draw; the drawing itself is left out."""
    names = []
    monkeypatch.setattr(
        live_module, "draw_campaign", lambda figure, scene: names.append(threading.current_thread().name)
    )
    return names


def in_a_thread(work):
    failed = []

    def run():
        try:
            work()
        except Exception as err:
            failed.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return failed


def news(*figures, n=3, also=lambda i: None):
    """A plan that lasts a second, with news in the RunEngine's thread."""
    for i in range(n):
        yield from bps.sleep(0.4)
        for figure in figures:
            figure.update()
        also(i)
    yield from bps.sleep(0.4)


def test_only_the_main_thread_draws_while_runs_follow_each_other(drawn):
    figure = LiveFigure(empty_scene, "campaign")
    RE = RunEngine({}, during_task=WhileRunning())
    for _ in range(2):
        RE(news(figure))
    assert len(drawn) >= 4 and set(drawn) == {"MainThread"}
    figure.refresh()
    n = len(drawn)
    figure.refresh()  # no news
    assert len(drawn) == n


def test_another_thread_may_update_but_not_draw(drawn):
    figure = LiveFigure(empty_scene, "campaign")
    assert not in_a_thread(figure.update) and not drawn
    for work in (figure.refresh, lambda: LiveFigure(empty_scene, "another")):
        (failed,) = in_a_thread(work)
        assert "main thread" in str(failed)
    refresh_all()
    assert drawn == ["MainThread"]


def test_closing_the_window_does_not_stop_the_run(monkeypatch):
    """On an Agg canvas that pyplot manages, as it does a window."""
    monkeypatch.setattr(live_module, "has_windows", lambda: True)
    drawn = []

    def draw_and_close(figure, scene):
        drawn.append(threading.current_thread().name)
        if len(drawn) == 2:
            pyplot.close(figure)

    monkeypatch.setattr(live_module, "draw_campaign", draw_and_close)
    figure, lasted = LiveFigure(empty_scene, "campaign"), []
    assert figure.is_open and "in a window" in repr(figure)
    RunEngine({}, during_task=WhileRunning())(news(figure, n=4, also=lasted.append))
    assert lasted == [0, 1, 2, 3] and drawn == ["MainThread"] * 2
    assert not figure.is_open and "closed" in repr(figure)


def test_a_figure_that_cannot_be_drawn_stops_neither_the_run_nor_another_figure(monkeypatch, caplog, drawn):
    def fail(figure, scene):
        raise ZeroDivisionError("no axes today")

    good, bad, lasted = LiveFigure(empty_scene, "good"), LiveFigure(empty_scene, "bad"), []
    monkeypatch.setattr(live_module, "draw_campaign", fail)
    RunEngine({}, during_task=WhileRunning())(news(bad, n=2, also=lasted.append))
    assert lasted == [0, 1] and 1 <= len(caplog.records) <= 2 and "no axes today" in caplog.text
    monkeypatch.undo()
    good.update()
    refresh_all()
    assert good.figure.axes


def test_the_newest_scene_is_saved(tmp_path, drawn):
    figure = LiveFigure(empty_scene, "campaign")
    figure.savefig(tmp_path / "campaign.png", dpi=20)
    figure.savefig(tmp_path / "campaign.png", dpi=20)
    assert len(drawn) == 2 and (tmp_path / "campaign.png").stat().st_size > 500


def test_ipython_draws_after_each_cell(monkeypatch, tmp_path, drawn):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    try:
        figures = [LiveFigure(empty_scene, name) for name in ("one", "two")]
        for figure in figures:
            figure.update()
        shell.run_cell("1 + 1")
        assert len(drawn) == 2
        assert shell.events.callbacks["post_execute"].count(refresh_all) == 1
    finally:
        InteractiveShell.clear_instance()


def test_a_notebook_replaces_its_image():
    """In a real kernel: the image shown by a cell is updated by the next one."""
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    try:
        shown = []

        def execute(code):
            reply = client.execute_interactive(
                textwrap.dedent(code), timeout=60, output_hook=lambda message: shown.append(message)
            )
            assert reply["content"]["status"] == "ok", reply["content"]

        execute("""
            import pandas as pd
            from ainerd.views import LiveFigure, Scene
            nothing = pd.DataFrame({"status": [], "regime": [], "novel": []})
            scene = lambda: Scene(table=nothing, embeddings=pd.DataFrame(), alpha=0.05, bounds={"x": (0, 1)})
            live = LiveFigure(scene, "campaign")
            live
            """)
        execute("live.update()")
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    images = [m for m in shown if "image/png" in m["content"].get("data", {})]
    assert [message["msg_type"] for message in images] == ["display_data", "update_display_data"]
    first, second = (message["content"]["transient"]["display_id"] for message in images)
    assert first == second


QT = """
    from PySide6 import QtCore, QtWidgets
    app = QtWidgets.QApplication([])  # matplotlib asks for a display otherwise
    import threading
    import matplotlib
    matplotlib.use("qtagg")
    from bluesky import RunEngine
    from test_live_figure import LiveFigure, WhileRunning, empty_scene, live_module, news
    drawn = []
    live_module.draw_campaign = lambda figure, scene: drawn.append(threading.current_thread().name)
    live_module.PERIOD_S = 0.1
    figure, lasted = LiveFigure(empty_scene, "campaign"), []
    RE = RunEngine({}, during_task=WhileRunning())
    RE(news(figure))
    assert len(drawn) >= 2 and set(drawn) == {"MainThread"}, drawn
    n = len(drawn)
    QtCore.QTimer.singleShot(300, figure.figure.canvas.manager.window.close)
    RE(news(figure, also=lasted.append))
    assert lasted == [0, 1, 2] and not figure.is_open and len(drawn) == n, (lasted, drawn)
"""


def test_a_qt_window_draws_itself_and_may_be_closed(monkeypatch):
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)  # or its libraries are not there: see .ci/run
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(QT)], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert "another thread" not in ran.stderr
