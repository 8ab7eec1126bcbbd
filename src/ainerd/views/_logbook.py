"""The agent's log as a person reads it after a night."""

from datetime import datetime

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ainerd.views._plain import plain

LINES = 60  # shown at most, the newest


class Logbook(pd.DataFrame):
    """Lines of the log by time, as `ainerd.results.ResultStore.logbook` gives them.

    A DataFrame that shows itself as what happened when, in local time; what is computed from it is a plain one.
    """

    _repr_html_ = None  # the text is for notebooks too

    def __repr__(self) -> str:
        console = Console()
        with console.capture() as capture:
            console.print(self)
        return "\n".join(line.rstrip() for line in capture.get().splitlines())

    def __rich__(self) -> Table | Text:
        if self.empty:
            return Text("nothing yet")
        lines = Table.grid(padding=(0, 2))
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column()
        if len(self) > LINES:
            lines.add_row("", Text(f"… {len(self) - LINES} lines before", "dim"))
        newest = self.iloc[-LINES:]
        times = newest["created"].dt.tz_convert(datetime.now().astimezone().tzinfo)
        day = None
        for time, text in zip(times, newest["text"], strict=True):
            if time.date() != day:
                day = time.date()
                lines.add_row(Text(f"{time:%a %d %b}", "bold"), "")
            lines.add_row(f"{time:%H:%M:%S}", _line(str(text)))
        return lines


def _line(text: str) -> Text:
    line = Text(plain(text))
    line.highlight_words(["(novel)"], "bold magenta")
    line.highlight_words(["no result", "rejected"], "yellow")
    return line
