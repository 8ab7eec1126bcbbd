"""The report of a campaign, from Tiled alone: figure, table and log in one HTML file that loads nothing."""

import base64
import io
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd

from ainerd.results import USABLE, AgentNode, ResultStore
from ainerd.technique import Technique
from ainerd.views._figure import campaign_figure
from ainerd.views._scene import Next, read_scene
from ainerd.words import here, number_of, printable, sender

DPI = 110
ROWS = 300  # of the table of results, and of the log
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; color: #1a1a1a; }}
table {{ border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; }}
th, td {{ border-bottom: 1px solid #ddd; padding: 0.25em 0.7em; text-align: left; vertical-align: top; }}
img {{ max-width: 100%; }}
</style></head><body><h1>{title}</h1><p>{when}</p>
<ul>{facts}</ul>
<img alt="the campaign: sample, next point, latent space, run after run" src="data:image/png;base64,{figure}">
<h2>Results</h2>{results}
<h2>Log</h2>{log}
</body></html>
"""


def report_html(store: ResultStore, bounds: Mapping[str, tuple[float, float]] | None = None) -> str:
    """Return the report of one agent's campaign: one page that loads nothing from elsewhere and runs no scripts.

    Parameters
    ----------
    store : ResultStore
        The store of one agent and one set of parameters.
    bounds : mapping of str to (float, float), optional
        Limits of the actuators. Default: the extent of the results.

    Raises
    ------
    ValueError
        If the store has no result yet.

    Examples
    --------
    >>> "<li>6 results: 5 complete, 1 failed.</li>" in report_html(store)
    True
    """
    table: Any = store.table()
    table = table[table["status"].ne("computing")]
    if table.empty:
        raise ValueError("there is no result yet: nothing to report")
    newest = store.record(str(table.index[-1]))
    claims = table.index[table["status"].isin(USABLE) & table["novelty_p"].notna()]
    known = Technique()  # its class need not be installed
    known.name, known.alpha = newest.technique, 0.0
    if len(claims):
        known.alpha = float(store.record(str(claims[-1])).calibration.get("alpha", 0.0))
    state = AgentNode(store.container, store.agent).state() if store.agent else {}
    waits = store.suggestions().query("status == 'proposed'").iloc[-1:]
    following = [
        Next(position={name: float(row[name]) for name in newest.positions}, reason=str(row["reason"]))
        for _, row in waits.iterrows()
    ]
    scene = read_scene(
        store,
        known,
        bounds or {motor: _extent(table, motor) for motor in newest.positions},
        following=following[0] if following else None,
        kinds={int(number): str(kind) for number, kind in state.get("kinds", {}).items()},
        names={int(number): str(name) for number, name in state.get("names", {}).items()},
    )
    figure = io.BytesIO()
    campaign_figure(scene).savefig(figure, format="png", dpi=DPI)
    log = store.logbook().iloc[-ROWS:]
    times, text = [_time(when) for when in log["created"]], table.text(ROWS)
    counts = ", ".join(f"{n} {status}" for status, n in table["status"].value_counts().items())
    facts = [f"{number_of(len(table), 'result')}: {counts}", *state.get("regimes", {}).get("sentences", [])]
    facts += [alarm] if (alarm := state.get("novelty", {}).get("alarm")) else []
    if held := state.get("held"):
        facts.append(f"the campaign is held by {sender(held['by'])}: {held['why'] or 'no reason given'}")
    runs = table["run_time"].dropna()
    first, last = (_time(runs.iloc[at]) if len(runs) else "?" for at in (0, -1))
    return PAGE.format(
        title=escape(printable(f"Campaign of {store.agent or 'all agents'}")),
        when=f"{first} to {last}, written {datetime.now():%d %b %Y %H:%M}, local time",
        facts="".join(f"<li>{escape(printable(fact[:1].upper() + fact[1:]))}.</li>" for fact in facts),
        figure=base64.b64encode(figure.getvalue()).decode(),
        results=_html(text, len(table)),
        log=_html(pd.DataFrame({"when": times, "what": log["text"].astype(str)}), len(store.logbook())),
    )


def _html(shown: pd.DataFrame, n: int) -> str:
    above = f"<p>The newest {len(shown)} of {n}.</p>" if len(shown) < n else ""
    with pd.option_context("display.max_colwidth", None):
        return above + str(shown.map(printable).to_html(index=False, border=0))


def _extent(table: pd.DataFrame, motor: str) -> tuple[float, float]:
    known = table[motor].dropna() if motor in table else pd.Series([0.0])
    low, high = float(known.min()), float(known.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _time(when: Any) -> str:
    return "" if pd.isna(when) else f"{here(when):%d %b %H:%M:%S}"
