"""What a person can do: the answer to `agent?`, and a few lines where a session begins."""

from typing import Any

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ainerd import __version__
from ainerd.results import scan_text
from ainerd.words import printable

# Each line is a call, and what it does.
ACTIONS = {
    "Look": {
        "agent": "what it knows, and where it would measure next and why",
        "agent.results": "the table of results; agent.results[12] is that of scan 12, with its arrays",
        "agent.explain(12)": "why scan 12 was called novel, or was not",
        "agent.log()": "what happened, a line each",
        "agent.plot()": 'the campaign\'s figure, kept up to date; agent.plot(style="wall") for a control room',
        'agent.figure("map", "map.pdf", width_mm=85)': "one panel for a paper",
        "agent.health()": "how the agent itself is",
    },
    "Measure": {
        "RE(agent.explore(3))": "three positions, each chosen after the one before was analysed",
        "RE(agent.explore())": "until the sample is explored",
        "RE(agent.sample((2.0, 3.5)))": "positions of your own, now",
        "RE(agent.stay(5))": "five times where the sample is now",
    },
    "Have a say": {
        "agent.suggest()": "the next position as data, with the numbers behind it",
        "agent.accept()": "take it, to measure it by hand",
        'agent.reject("too near the wall")': "turn it down; returns another",
        'agent.add(3.0, 7.0, reason="a scratch")': "your own position comes first",
        'agent.exclude("a crack", sample_x=(2, 3))': "never suggest a position in a box",
        "agent.exclude_border(1.0)": "nor near the bounds; agent.excluded and agent.bounds may be set",
        'agent.note(12, "a bubble")': "note something on scan 12",
    },
    "Tidy up": {
        "agent.drain()": "wait until everything is analysed",
        "agent.catch_up()": "analyse runs in Tiled that have no result",
        'agent.results.export("results.csv")': "the table as a file; agent.results.to_xarray() for analysis",
    },
}

_WIDTH = 2 + max(len(call) for calls in ACTIONS.values() for call in calls)
GUIDE = "What you can do with the agent.\n\n" + "\n\n".join(
    f"{what}\n" + "\n".join(f"    {call:{_WIDTH}}{does}" for call, does in calls.items())
    for what, calls in ACTIONS.items()
)


def welcome(agent: Any, *, devices: str = "") -> Panel:
    """How to begin, for the start of a session.

    Parameters
    ----------
    agent : Agent or Observer
    devices : str
        Names that the session has beside the agent.
    """
    lines = Table.grid(padding=(0, 2))
    lines.add_column(no_wrap=True, style="bold")
    lines.add_column(overflow="fold")
    found = agent.results.table()
    newest = ""
    if len(found):
        last = found.iloc[-1]
        newest = f", the newest of scan {scan_text(last['scan_id'], last['event'])}"
    waits = "; runs that came meanwhile are being analysed" if agent.is_busy else ""
    lines.add_row("results", Text(f"{len(found)}{newest}{waits}"))
    if devices:
        lines.add_row("devices", Text(printable(devices)))
    for call in ("agent", "RE(agent.explore(3))", "agent.results", "agent.plot()"):
        does = next(calls[call] for calls in ACTIONS.values() if call in calls)
        lines.add_row(call, Text(does))
    lines.add_row("agent?", Text("everything you can do with it"))
    title = f"ainerd {__version__}: {printable(agent.name)}, technique {agent.technique.name}"
    return Panel(lines, title=title, title_align="left", expand=False)
