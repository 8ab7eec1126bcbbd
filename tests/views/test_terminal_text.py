"""Lines and panels for the terminal, with hostile text among them."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from ainerd.results import Result
from ainerd.views import Logbook, Next, run_line, status_panel

HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]markup[/] \x9b31m <script>alert(1)</script> \x00\r"
UNITS = {"sample_x": "mm", "sample_y": "mm"}


def shown(renderable, width=120):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))
    with console.file:
        console.print(renderable)
        return console.export_text()


STATUS = {
    "attached": True, "tiled": "http://127.0.0.1:8000/api/v1?api_key=secret", "results": 12, "failed": 1, "novel": 2,
    "expected_false": 0.6, "regimes": 4, "supported_range": (3, 5), "next": {"sample_x": 3.25, "sample_y": 1.0},
    "why": "edge of [bold]regime 2[/bold]", "explored": "the chance that a region was missed is 0.40", "queue": 2,
    "backlog": 3, "free_gb": 812.3, "held": "Ann: tea", "units": UNITS,
}  # fmt: skip


def test_the_status_panel():
    text = shown(status_panel(STATUS))
    for part in (
        "yes", "http://127.0.0.1:8000/api/v1 ", "12, 1 failed", "about 0.6", "3 to 5", "812 GB free", "Ann: tea",
        "sample_x 3.25 mm, sample_y 1.00 mm", "edge of [bold]regime 2[/bold]", "2 points of people", "3 runs to be",
    ):  # fmt: skip
        assert part in text
    assert "secret" not in text


def test_the_status_panel_leaves_out_unknown_values():
    panel = status_panel({"tiled": "http://127.0.0.1", "away": "does not answer", "backlog": 0})
    assert [line.strip("│ ").split()[0] for line in shown(panel).splitlines()[1:-1]] == ["tiled", "does", "analysis"]


def run(scan_id=4, **values):
    known = {"status": "complete", "embedding": np.zeros(2, np.float32)} | values
    return Result(raw_uid="", key="", trial_id="", positions={}, scan_id=scan_id, **known)


def test_a_line_after_a_run():
    following, nowhere = Next(position={"sample_x": 3.25, "sample_y": 1.0}, reason="edge [x]"), Next(position={})
    line = run_line(run(3, regime=2, novelty_p=0.0032, novel=True), following, UNITS)
    expected = "scan 3: regime 2, p = 0.0032 (novel) → next (3.25, 1.00) mm: edge [x]"
    assert shown(line).strip() == expected == line.plain
    named = run_line(run(3, regime=2), nowhere, UNITS, {2: "gel"}).plain
    assert named.startswith("scan 3: regime 2 (gel), ")
    failed = run_line(run(status="failed", reason="[/] no frames"), nowhere, UNITS)
    assert failed.plain == "scan 4: no result, [/] no frames"
    grown = run_line(run(status="growing", regime=0, novelty_p=0.5), nowhere, UNITS)
    assert grown.plain == "scan 4: growing, regime 0, p = 0.5"
    assert run_line(run(5, event=2), nowhere, UNITS).plain == "scan 5.2: no regime, no p-value"
    of_file = run_line(run(None, file="A0012_Twotime.hdf", regime=0, novelty_p=0.5), nowhere, UNITS).plain
    assert of_file == "A0012_Twotime.hdf: regime 0, p = 0.5"
    different = run_line(run(7), Next(position=following.position), UNITS | {"sample_y": "deg"}).plain
    assert different.endswith("→ next (3.25 mm, 1.00 deg)")


def on_terminal(renderable):
    console = Console(file=io.StringIO(), force_terminal=True, width=300, no_color=True)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.fault(
    "Names and reasons contain escape sequences or markup", "They are shown literally; no terminal executes them"
)
def test_no_control_character_reaches_the_terminal():
    log = Logbook({"created": pd.to_datetime(["2026-11-20T10:00:00Z"]), "text": [HOSTILE]})
    renderables = [
        run_line(run(status="failed", reason=HOSTILE), Next(position={"x": 1.0}, reason=HOSTILE), {}),
        status_panel({"tiled": HOSTILE, "away": HOSTILE, "backlog": 0}),
        status_panel(STATUS | {"why": HOSTILE, "explored": HOSTILE}),
        log,
    ]
    for renderable in renderables:
        text = on_terminal(renderable)
        assert "[red]markup" in text and "<script>" in text
        for sequence in ("\x1b[2J", "\x1b]0", "\x07", "\x9b", "\x00"):
            assert sequence not in text
