"""Names and reasons come from anywhere; a terminal shows them and obeys none."""

import io

import pandas as pd
import pytest
from rich.console import Console

from ainerd.views import Logbook, run_line, status_panel
from ainerd.words import printable

HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]markup[/] \x9b31m <script>alert(1)</script> \x00\r"


def shown(renderable):
    console = Console(file=io.StringIO(), force_terminal=True, width=300, no_color=True)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.fault("names and reasons with escape sequences or markup", "shown as they are, obeyed by no terminal")
def test_no_control_character_reaches_the_terminal():
    log = Logbook({"created": pd.to_datetime(["2026-11-20T10:00:00Z"]), "text": [HOSTILE]})
    renderables = [
        run_line("1", reason=HOSTILE, next_point={"x": 1.0}, why=HOSTILE),
        status_panel({"tiled": HOSTILE, "why": HOSTILE, "explored": HOSTILE}),
        log,
    ]
    for renderable in renderables:
        text = shown(renderable)
        assert "[red]markup" in text and "<script>" in text
        for sequence in ("\x1b[2J", "\x1b]0", "\x07", "\x9b", "\x00"):
            assert sequence not in text


def test_plain_text_stays():
    assert (
        printable("τ = 3 µs\n\tnext") == "τ = 3 µs\n\tnext" and printable(3) == "3" and printable("\x1b[31m") == "�[31m"
    )
