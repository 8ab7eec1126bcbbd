"""Lines and panels for the terminal, with hostile text among them."""

import io

import pandas as pd
import pytest
from rich.console import Console

from ainerd.views import Logbook, run_line, status_panel
from ainerd.words import printable

HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]markup[/] \x9b31m <script>alert(1)</script> \x00\r"
UNITS = {"sample_x": "mm", "sample_y": "mm"}


def shown(renderable, width=120):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))
    with console.file:
        console.print(renderable)
        return console.export_text()


def test_the_status_panel():
    status = {
        "attached": True,
        "tiled": "http://127.0.0.1:8000/api/v1?api_key=secret",
        "results": 12,
        "failed": 1,
        "novel": 2,
        "expected_false": 0.6,
        "regimes": 4,
        "supported_range": (3, 5),
        "next": {"sample_x": 3.25, "sample_y": 1.0},
        "why": "edge of [bold]regime 2[/bold]",
        "queue": 3,
        "units": UNITS,
    }
    text = shown(status_panel(status))
    for part in [
        "attached  yes",
        "http://127.0.0.1:8000/api/v1 ",
        "12, 1 failed",
        "2 (0.6 expected by chance)",
        "4 (3 to 5 supported)",
        "sample_x 3.25 mm, sample_y 1.00 mm",
        "edge of [bold]regime 2[/bold]",
        "3 waiting",
    ]:
        assert part in text
    assert "secret" not in text


def test_the_status_panel_leaves_out_unknown_values():
    lines = shown(status_panel({"attached": False, "results": 0, "regimes": None, "next": None, "queue": 0}))
    assert [line.strip("│ ").split()[0] for line in lines.splitlines()[1:-1]] == ["attached", "results", "queue"]


def test_a_line_after_a_run():
    next_point = {"sample_x": 3.25, "sample_y": 1.0}
    line = run_line("3", regime=2, novelty_p=0.0032, novel=True, next_point=next_point, units=UNITS, why="edge [x]")
    expected = "scan 3: regime 2, p = 0.0032 ● novel → next (3.25, 1.00) mm: edge [x]"
    assert shown(line).strip() == expected == line.plain
    assert run_line("4", reason="[/] no frames").plain == "scan 4: failed, [/] no frames"
    half = run_line("4", reason="frames at 2 temperature(s)", growing=True)
    assert half.plain == "scan 4: growing, frames at 2 temperature(s)" and "red" not in str(half.spans)
    assert run_line("4", regime=0, novelty_p=0.5, growing=True).plain == "scan 4: growing, regime 0, p = 0.5"
    assert run_line("5.2", regime=-1).plain == "scan 5.2: no regime, no claim of novelty"
    assert run_line("6", regime=0, novelty_p=0.5).plain == "scan 6: regime 0, p = 0.5"
    different = run_line("7", next_point=next_point, units=UNITS | {"sample_y": "deg"}).plain
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
        run_line("1", reason=HOSTILE, next_point={"x": 1.0}, why=HOSTILE),
        status_panel({"tiled": HOSTILE, "why": HOSTILE, "explored": HOSTILE}),
        log,
    ]
    for renderable in renderables:
        text = on_terminal(renderable)
        assert "[red]markup" in text and "<script>" in text
        for sequence in ("\x1b[2J", "\x1b]0", "\x07", "\x9b", "\x00"):
            assert sequence not in text


def test_plain_text_stays():
    assert (
        printable("τ = 3 µs\n\tnext") == "τ = 3 µs\n\tnext" and printable(3) == "3" and printable("\x1b[31m") == "�[31m"
    )
