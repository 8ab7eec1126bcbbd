from rich.console import Console

from ainerd.views import run_line, status_panel

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
    for said in [
        "attached  yes",
        "http://127.0.0.1:8000/api/v1 ",
        "12, 1 failed",
        "2 (0.6 expected by chance)",
        "4 (3 to 5 supported)",
        "sample_x 3.25 mm, sample_y 1.00 mm",
        "edge of [bold]regime 2[/bold]",
        "3 waiting",
    ]:
        assert said in text
    assert "secret" not in text


def test_the_status_panel_leaves_out_unknown_values():
    lines = shown(status_panel({"attached": False, "results": 0, "regimes": None, "next": None, "queue": 0}))
    assert [line.strip("│ ").split()[0] for line in lines.splitlines()[1:-1]] == ["attached", "results", "queue"]


def test_a_line_after_a_run():
    next_point = {"sample_x": 3.25, "sample_y": 1.0}
    line = run_line("3", regime=2, novelty_p=0.0032, novel=True, next_point=next_point, units=UNITS, why="edge [x]")
    said = "scan 3: regime 2, p = 0.0032 ● novel → next (3.25, 1.00) mm: edge [x]"
    assert shown(line).strip() == said == line.plain
    assert run_line("4", reason="[/] no frames").plain == "scan 4: failed, [/] no frames"
    half = run_line("4", reason="frames at 2 temperature(s)", growing=True)
    assert half.plain == "scan 4: growing, frames at 2 temperature(s)" and "red" not in str(half.spans)
    assert run_line("4", regime=0, novelty_p=0.5, growing=True).plain == "scan 4: growing, regime 0, p = 0.5"
    assert run_line("5.2", regime=-1).plain == "scan 5.2: no regime, no claim of novelty"
    assert run_line("6", regime=0, novelty_p=0.5).plain == "scan 6: regime 0, p = 0.5"
    different = run_line("7", next_point=next_point, units=UNITS | {"sample_y": "deg"}).plain
    assert different.endswith("→ next (3.25 mm, 1.00 deg)")
