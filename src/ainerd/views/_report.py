"""The report of a campaign, from Tiled alone: one HTML file that loads nothing from elsewhere."""

import base64
import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ainerd.results import USABLE, AgentNode, ResultRecord, ResultStore, explain, plot_result
from ainerd.technique import Technique
from ainerd.views._figure import campaign_figure
from ainerd.views._scene import Next, read_scene, regime_name
from ainerd.words import here, named_place, number_of, printable, run_text, sender

logger = logging.getLogger(__name__)

DPI = 110
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; color: #1a1a1a; }
h1 { margin-bottom: 0; } h2 { margin-top: 1.8em; border-bottom: 1px solid #ccc; }
p.when { color: #666; margin-top: 0.2em; }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25em 0.7em; text-align: left; vertical-align: top; }
img { max-width: 100%; }
"""
DRAWN = 6  # results
ROWS = 300  # of the table of results
MOST = 40  # rows of the other tables
Cells = Sequence[Sequence[str]]
Bounds = Mapping[str, tuple[float, float]]


class _Section(NamedTuple):
    """A part of a report: sentences, a table whose first row is its header, figures with captions."""

    title: str
    lines: Sequence[str] = ()
    table: Cells = ()
    figures: Sequence[tuple[Figure, str]] = ()


def report_html(store: ResultStore, bounds: Bounds | None = None) -> str:
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
    table = store.table()
    table = table[table["status"].ne("computing")]
    if table.empty:
        raise ValueError("there is no result yet: nothing to report")
    times = table["run_time"].dropna()
    first, last = (_time(times.iloc[at]) if len(times) else "?" for at in (0, -1))
    subtitle = f"{first} to {last}, written {datetime.now():%d %b %Y %H:%M}, local time"
    sections = _Campaign(store, table, bounds).sections()
    return _page(f"Campaign of {store.agent or 'all agents'}", subtitle, sections)


def _page(title: str, subtitle: str, sections: Iterable[_Section]) -> str:
    """Return a page with sections; all text is escaped."""
    title, parts = escape(printable(title)), "".join(map(_html, sections))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{STYLE}</style></head>
<body><h1>{title}</h1><p class="when">{escape(printable(subtitle))}</p>
{parts}</body></html>
"""


def _html(section: _Section) -> str:
    text = [f"<h2>{escape(printable(section.title))}</h2>"]
    if section.lines:
        text.append(f"<ul>{''.join(f'<li>{escape(printable(line))}</li>' for line in section.lines)}</ul>")
    if section.table:
        head, *rows = section.table
        text.append(
            pd.DataFrame([[*row] for row in rows], columns=[*head]).map(printable).to_html(index=False, border=0)
        )
    for figure, caption in section.figures:
        label = escape(printable(caption))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        image = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        text.append(f'<figure><img alt="{label}" src="{image}"><figcaption>{label}</figcaption></figure>')
    return "\n".join(text) + "\n"


class _Campaign:
    def __init__(self, store: ResultStore, table: Any, bounds: Bounds | None) -> None:
        self._store, self._table = store, table
        self._units: Mapping[str, str] = table.attrs.get("units", {})
        self._newest: ResultRecord = store.record(str(table.index[-1]))
        self._motors = [*bounds] if bounds else list(self._newest.positions)
        self._bounds = bounds or {motor: _extent(table, motor) for motor in self._motors}
        self._done = table[table["status"].isin(USABLE)]
        self._novel = table[table["novel"].fillna(False).astype(bool)].sort_values("novelty_p", kind="stable")
        claims = self._done.index[self._done["novelty_p"].notna()]
        self._alpha = float(store.record(str(claims[-1])).calibration.get("alpha", 0.0)) if len(claims) else 0.0
        self._measured = [name for name in table if f"{name}_err" in table and not str(name).endswith("_or")][:3]
        suggested = store.suggestions()
        self._next = suggested[suggested["status"].eq("proposed")].iloc[-1:]
        self._state = AgentNode(store.container, store.agent).state() if store.agent else {}
        self._names = {int(number): str(name) for number, name in self._state.get("names", {}).items()}

    def sections(self) -> Iterator[_Section]:
        yield self._summary()
        if len(self._done):
            yield self._regimes()
        yield self._novel_results()
        yield self._decided()
        yield self._failures()
        yield _Section(title="Next steps", lines=[*self._todo()] or ["Nothing is left open."])
        yield self._all()
        yield self._origin()

    def _decided(self) -> _Section:
        """Return the last lines of the log about decisions of people."""
        entries = self._store.logbook().astype({"text": str})  # without lines it would be a column of numbers
        by = entries.reindex(columns=["by"])["by"]
        others = entries[by.notna() & by.ne(self._newest.agent)]
        rows = [[_time(line["created"]), str(line["text"])] for _, line in others.iloc[-MOST:].iterrows()]
        lines = [f"The newest {len(rows)} of {len(others)}."] if len(rows) < len(others) else []
        lines += [] if rows else ["There were none."]
        return _Section(title="Decisions of people", lines=lines, table=[["when", "what"], *rows] if rows else [])

    def _summary(self) -> _Section:
        counts = self._table["status"].value_counts()
        with_p = int(self._done["novelty_p"].notna().sum())
        of_each = ", ".join(f"{n} {status}" for status, n in counts.items())
        lines = [f"{number_of(len(self._table), 'result')}: {of_each}."]
        atlas = self._store.newest_atlas()
        if atlas is not None:
            low, high = atlas.supported_range
            maybe = f"; it may be {low} to {high}" if low < high else ""
            lines.append(f"{number_of(atlas.n_regimes, 'regime')}{maybe}.")
        if with_p:
            lines.append(
                f"{len(self._novel)} of {with_p} results with a p-value are novel; "
                f"chance alone gives about {self._alpha * with_p:.1f}. {len(self._done) - with_p} have no p-value."
            )
        return _Section(title="Summary", lines=lines, figures=self._campaign_figure())

    def _regimes(self) -> _Section:
        head = ["regime", "results", *map(self._labelled, [*self._motors, *self._measured]), "p, median"]
        rows = []
        for regime, group in self._done.groupby(self._done["regime"].fillna(-1).astype(int)):
            p = group["novelty_p"].dropna()
            cells = [_range(group[name]) if name in group else "" for name in [*self._motors, *self._measured]]
            name = regime_name(int(regime), self._names).removeprefix("regime ")
            rows.append([name, str(len(group)), *cells, f"{p.median():.2g}" if len(p) else "no p-value"])
        lines = [f"{each[:1].upper()}{each[1:]}." for each in self._state.get("regimes", {}).get("sentences", [])]
        lines.append("Ranges over the results of a regime; numbers with an error are in the table of all results.")
        return _Section(title="Regimes", lines=lines, table=[head, *rows])

    def _novel_results(self) -> _Section:
        if len(self._novel):
            results = self._store.load([*map(str, self._novel.index[:MOST])], ())
            left_out = len(self._novel) > MOST
            lines = [f"The {MOST} of {len(self._novel)} that have the lowest p-values."] if left_out else []
            lines += [
                f"{self._scan_at(result.key)}: {explain(ResultRecord.from_metadata(result.metadata))}."
                for result in results
            ]
            title, shown = "Novel results", self._novel.index[:DRAWN]
        else:
            of_each = self._done.groupby("regime", dropna=False).tail(1).index
            only = f", for the {DRAWN} regimes seen last" if len(of_each) > DRAWN else ""
            lines = [f"No result is novel. The newest result of each regime is drawn{only}."]
            title, shown = "Results", of_each[-DRAWN:]
        return _Section(title=title, lines=lines, figures=[*self._drawn(shown)])

    def _failures(self) -> _Section:
        reasons = self._table[self._table["status"].eq("failed")]["reason"].fillna("no reason given").value_counts()
        lines = [f"{n} × {reason}" for reason, n in reasons.items()]
        return _Section(title="Failures", lines=lines or ["Nothing failed."])

    def _all(self) -> _Section:
        text = self._table.text(ROWS)
        lines = [f"The newest {len(text)} of {len(self._table)}."] if len(text) < len(self._table) else []
        return _Section(title="All results", lines=lines, table=[[*text], *text.to_numpy().tolist()])

    def _origin(self) -> _Section:
        record = self._newest
        packages = ", ".join(f"{name} {version}" for name, version in record.software.items() if name != "version")
        bank = record.calibration
        lines = [
            f"Technique {record.technique}; key of the newest result {record.key}.",
            f"ainerd {record.software.get('version', '?')} ({packages.removeprefix('name ainerd, ')}).",
            f"p-values compare with {bank.get('n', 0)} simulated exposures." if bank else "There are no p-values.",
        ]
        return _Section(title="Where the numbers come from", lines=lines)

    def _todo(self) -> Iterator[str]:
        if held := self._state.get("held"):
            yield f"The campaign is held by {sender(held['by'])}: {held['why'] or 'no reason given'}."
        for _, row in self._next.iterrows():
            yield f"Measure at {self._place(row)} next: {row['reason']}."
        if alarm := self._state.get("novelty", {}).get("alarm"):
            yield f"{alarm}."

    def _campaign_figure(self) -> Sequence[tuple[Figure, str]]:
        known = Technique()  # its class need not be installed
        known.name, known.alpha = self._newest.technique, self._alpha
        kinds = {int(number): str(kind) for number, kind in self._state.get("kinds", {}).items()}
        about: dict[str, Any] = {"kinds": kinds, "names": self._names}
        try:
            for _, row in self._next.iterrows():
                position = {name: float(row[name]) for name in self._motors}
                about["following"] = Next(position=position, reason=str(row["reason"]))
            scene = read_scene(self._store, known, self._bounds, **about)
            return [(campaign_figure(scene), "The campaign: sample, next point, latent space, run after run.")]
        except Exception:  # a report without the figure is better than no report
            logger.exception("the campaign's figure cannot be drawn")
            return []

    def _drawn(self, keys: Iterable[Any]) -> Iterator[tuple[Figure, str]]:
        for result in self._store.load([*map(str, keys)]):
            try:
                yield plot_result(result), self._scan_at(result.key)
            except Exception as error:  # a technique may be anybody's code
                logger.warning("result %s cannot be drawn: %s: %s", result.key, type(error).__name__, error)

    def _scan_at(self, key: Any) -> str:
        row = self._table.loc[key]
        return f"{run_text(row)} at {self._place(row)}"

    def _place(self, row: pd.Series) -> str:
        known = [name for name in self._motors if name in row and pd.notna(row[name])]
        return named_place({name: row[name] for name in known}, self._units) or "?"

    def _labelled(self, name: str) -> str:
        return name if (unit := self._units.get(name, "1")) in ("", "1") else f"{name} ({unit})"


def _extent(table: pd.DataFrame, motor: str) -> tuple[float, float]:
    known = table[motor].dropna() if motor in table else pd.Series([0.0])
    low, high = float(known.min()), float(known.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _range(values: pd.Series) -> str:
    known = pd.to_numeric(values, errors="coerce").dropna()
    if known.empty:
        return ""
    low, high = f"{known.min():.3g}", f"{known.max():.3g}"
    return low if low == high else f"{low} to {high}"


def _time(when: Any) -> str:
    return "" if pd.isna(when) else f"{here(when):%d %b %H:%M:%S}"
