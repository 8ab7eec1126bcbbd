"""Results as a table: how it shows itself, and which results it has by number, key, values, words and notes."""

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ainerd.results._conditions import TIMES
from ainerd.results._records import FINAL, ResultRecord
from ainerd.results._table import Columns, Notes
from ainerd.technique import panels
from ainerd.words import coordinate, here, printable, rendered, scan_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

logger = logging.getLogger(__name__)

LINES = 60  # of a table that are shown, the newest
NOVEL = " ●"
_RESULT = [
    "scan_id", "event", "run_time", "status", "regime", "novelty_p", "novel", "own_p", "regime_then", "reason",
    "raw_uid", "superseded_by", "note",
]  # fmt: skip
_TEXTS = ("reason", "superseded_by", "note")  # columns of texts, even if no result has one
_DTYPES: Mapping[str, Any] = {
    **dict.fromkeys(("scan_id", "event", "n_frames", "regime", "regime_then"), "Int64"),
    "novel": "boolean",
    **dict.fromkeys(("novelty_p", "own_p"), "float64"),
}
_LAST = ("note", "status", "key")  # of the columns that are shown
_ALWAYS = ("scan", "time", "regime", "p", "status", "key")
_WORDS, NARROW = ("sample", "note", "status"), 10  # columns that may wrap, down to so many characters
KEY_LENGTH = 36
MOST_ALIKE = 0.6  # share of the results of a regime that name it
SHORT_KEY = 8  # characters of a key that tables show


class ResultTable(pd.DataFrame):
    """Results as `ainerd.results.ResultStore.table` returns them.

    A DataFrame of everything that shows the columns people ask for. Rows of it show the same; a table with other
    columns is shown as any DataFrame.
    """

    @property
    def _constructor(self) -> "type[ResultTable]":
        return ResultTable

    @property
    def _is_of_results(self) -> bool:
        return {"scan_id", "run_time", "status"} <= {*self} and self.index.name == "key"

    def __repr__(self) -> str:
        return rendered(self) if self._is_of_results else super().__repr__()

    def __rich__(self) -> "_Shown | str":
        return "no results" if self.empty else _Shown(self)

    def _repr_html_(self) -> str:
        if not self._is_of_results:
            return self.to_html(notebook=True, max_rows=LINES)
        return self.text().to_html(index=False, border=0)

    def text(self, n: int = LINES) -> pd.DataFrame:
        """Return the newest `n` results as text, in the columns that are shown."""
        return text_table(self, n)


def result_table(
    results: Columns, labels: "pd.Series[float]", others: Columns, notes: Notes = ()
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Return the results by time of the run and number of the event, and the index in `results` of each row.

    `labels` are those of the newest atlas, by key. `others` may supersede the results.
    """
    order = np.lexsort([results.number, *(results.column(name) for name in ("event", "run_time"))])
    keys = results.frame.index[order]
    names = dict.fromkeys([*_RESULT, *results.frame])
    columns: dict[Any, Any] = {name: results.column(name)[order] for name in names}  # faster than copies of a frame
    columns |= {name: np.full(len(keys), np.nan, object) for name in _TEXTS if name not in results.frame}
    then = columns["regime_then"] = columns["regime"]
    if len(labels):
        now = labels.reindex(keys).to_numpy()
        columns["regime"] = np.where(np.isnan(now), then, now)
    if noted := notes_by_key(results, notes):
        columns["note"] = _texts({key: "; ".join(some) for key, some in noted.items()}, keys)
    if "supersedes" in others.frame:
        new = others.frame["supersedes"][others.frame["status"].isin(FINAL)].dropna()
        columns["superseded_by"] = _texts(dict(zip(new.to_list(), new.index, strict=True)), keys)
    for name in {*TIMES} & columns.keys():
        columns[name] = times_of(columns[name])
    if "created" in columns:
        columns["created"] = pd.to_datetime(columns["created"], utc=True, format="ISO8601")
    columns |= {
        name: pd.Series(columns[name]).astype(dtype).array for name, dtype in _DTYPES.items() if name in columns
    }
    table = pd.DataFrame(columns, index=keys, copy=False)
    units = {"frame_time_s": "s"} if "frame_time_s" in columns else {}
    for some in results.distinct("units"):
        units.update(some)
    table.attrs = {"units": units}
    for kind in ("positions", "series"):
        table.attrs[kind] = list(dict.fromkeys(name for some in results.distinct(kind) for name in some))
    return table, order


def times_of(seconds: ArrayLike) -> "pd.Index[Any]":
    """Convert seconds since 1970, or NaN, to times; pandas < 3 multiplies uninitialized values (its issue 58419)."""
    values = np.asarray(seconds, float)
    known = np.isfinite(values)
    return pd.to_datetime(np.where(known, values, 0.0), unit="s", utc=True).where(known)


def newest_scope(results: Columns) -> dict[str, str]:
    """Return agent and digest of the newest usable result: only embeddings of the same scope can be compared."""
    done = results.at(results.sizes > 0)
    if not len(done):
        return {}
    newest = int(np.nan_to_num(done.column("run_time"), nan=np.inf).argmax())
    scope = {name: done.column(name)[newest] for name in ("agent", "digest")}
    return {name: value for name, value in scope.items() if isinstance(value, str)}


def embedding_table(results: Columns, scope: Mapping[str, str]) -> pd.DataFrame:
    """Return the embeddings of the results in the scope, by time of the run."""
    wanted = [results.sizes > 0, *(results.column(name) == value for name, value in scope.items())]
    done = results.at(np.logical_and.reduce(wanted))
    when, event = done.column("run_time"), done.column("event")
    when = np.where(np.isnan(when), np.inf, when)
    order = np.lexsort([done.number, np.where(np.isnan(event), 0, event), when])
    points = done.points.reshape(len(done), -1) if len(done) else np.zeros((0, 0), np.float32)
    return pd.DataFrame(points[order], index=done.frame.index[order])


def has_common_size(results: Columns) -> NDArray[np.bool_]:
    """Select all results but those whose embedding has another size than most of the same agent and parameters."""
    sizes = pd.Series(results.sizes).where(results.sizes > 0)
    if sizes.nunique() < 2:
        return np.ones(len(results), bool)
    of_scope = sizes.groupby([results.column("agent"), results.column("digest")], dropna=False)
    common = of_scope.transform(  # the older one of equally many
        lambda some: some.value_counts(sort=False).idxmax() if some.notna().any() else np.nan
    )
    return (sizes.isna() | sizes.eq(common)).to_numpy()


def similar(results: Columns, like: str | int | float | ArrayLike, n: int) -> "pd.Series[float]":
    """Return the distances of the `n` results nearest in the latent space, by key; see `ResultStore.similar`."""
    fitting = results.at(has_common_size(results))
    if isinstance(like, str | int | float):
        key = like if isinstance(like, str) and len(like) == KEY_LENGTH else find_key(results, like)
        is_it = (fitting.frame.index == key) & (fitting.sizes > 0)
        if not is_it.any():
            raise KeyError(f"no complete result {key!r}: see store.table('complete')")
        points = embedding_table(fitting, {name: fitting.column(name)[is_it][0] for name in ("agent", "digest")})
        point, points = points.loc[key].to_numpy(), points.drop(key)
    else:
        point, points = np.asarray(like, np.float32), embedding_table(fitting, newest_scope(fitting))
    if points.empty:
        return pd.Series([], points.index[:0], float)
    if point.shape != points.shape[1:]:
        raise ValueError(f"a point has shape {points.shape[1:]} here, got {point.shape}")
    away = points.to_numpy() - point
    distance = np.sqrt(np.einsum("ij,ij->i", away, away))
    order = np.argsort(distance, kind="stable")[:n]
    return pd.Series(distance[order], points.index[order])


def regime_kinds(
    regimes: ArrayLike,
    nearest: "Sequence[Any] | pd.Series[Any]",
    novel: ArrayLike,
    new: Collection[int] = (),
    components: Sequence[Sequence[int]] = (),
) -> dict[int, str]:
    """Return the kind that each regime resembles, by number: "like stationary", or "new (nearest kind: stationary)".

    A regime of which most results with a verdict are novel is new if it, or one without a gap to it, is claimed to be
    new; otherwise it has no name. Another regime is like a known kind if at least two of its results, and three in
    five, are nearest to that kind.

    Parameters
    ----------
    regimes : array_like, shape (n,)
        Regime of each result; missing or negative for none.
    nearest : sequence of str or None, length n
        Known kind under which each result is most likely.
    novel : array_like, shape (n,)
        1 for novel, 0 for not novel, missing without a verdict.
    new : collection of int
        Regimes that are claimed to be new.
    components : sequence of sequence of int
        Regimes without a gap between them, which get one name.

    Examples
    --------
    >>> regime_kinds([0, 0, 1], ["ageing", "ageing", "flow"], [False, False, True], new=[1])
    {0: 'like ageing', 1: 'new (nearest kind: flow)'}
    """
    of = {regime: group[0] for group in components for regime in group}
    new = {of.get(regime, regime) for regime in new}
    known = pd.DataFrame({"regime": regimes, "kind": nearest, "novel": np.asarray(novel, float)}).dropna()
    known, kinds = known[known["regime"] >= 0].astype({"regime": int}), dict[int, str]()
    for number, group in known.groupby(known["regime"].replace(of)):
        counts = group["kind"].value_counts()
        alike = f"like {counts.index[0]}" if counts.iloc[0] >= max(2, MOST_ALIKE * len(group)) else None
        for regime, of_regime in group.groupby("regime"):
            if of_regime["novel"].mean() > 0.5:
                kinds |= {int(str(regime)): f"new (nearest kind: {counts.index[0]})"} if number in new else {}
            elif alike is not None:
                kinds[int(str(regime))] = alike
    return kinds


def text_table(table: pd.DataFrame, n: int = LINES) -> pd.DataFrame:
    """Return the newest results as text: scan, time, sample, position, regime, p, own p, the technique's columns, etc.

    The p of a novel result has a ●. A column that would be empty is left out.
    """
    newest = table.iloc[-n:]
    rows = [
        _cells(str(key), row, table.attrs) for key, row in zip(newest.index, newest.to_dict("records"), strict=True)
    ]
    columns = dict.fromkeys(name for row in rows for name in row)  # each technique has its own
    order = [name for name in columns if name not in _LAST] + [name for name in _LAST if name in columns]
    text = pd.DataFrame([{name: row.get(name, "") for name in order} for row in rows], columns=order)
    return text.loc[:, [name for name in order if name in _ALWAYS or text[name].ne("").any()]]


class _Shown:
    """Results for a terminal. If it is too narrow, the least important columns are left out, and named below."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._text = text_table(table)
        self._above = [f"and {len(table) - LINES} before"] if len(table) > LINES else []

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.table import Table
        from rich.text import Text

        text = _fitting(self._text, options.max_width)
        lines = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
        for name in text:
            words = name in _WORDS
            justify: Literal["left", "right"] = "left" if words else "right"
            lines.add_column(Text(_heading(name)), justify=justify, no_wrap=not words, min_width=NARROW * words)
        for cells in text.to_dict("records"):
            novel, failed = cells["p"].endswith(NOVEL), cells["status"].startswith("failed")
            style = "bold magenta" if novel else "yellow" if failed else ""
            lines.add_row(*(Text(printable(cell), style) for cell in cells.values()))
        left_out = [str(name) for name in self._text if name not in text]
        caption = [*self._above, *[ResultRecord.about_own_p] * ("own p" in text)]
        caption += [f"a wider terminal also shows {', '.join(left_out)}"] * bool(left_out)
        if caption:
            lines.caption, lines.caption_justify = "\n".join(caption), "left"
        yield lines


def _heading(name: Any) -> str:
    return str(name).replace(", ", ",\n")


def _fitting(text: pd.DataFrame, width: int) -> pd.DataFrame:
    """Return the columns of a table of text for which there is room. Scan, position, regime, p and status stay."""
    widths = {}
    for name in text:
        widest = max(map(len, (*_heading(name).split("\n"), *text[name])))
        widths[name] = 1 + (min(widest, NARROW) if name in _WORDS else widest)
    of_technique = [*text][[*text].index("p") + 1 :]
    least = ["time", "own p", *(name for name in reversed(of_technique) if name not in _LAST), "key", "note", "sample"]
    for name in least:
        if sum(widths.values()) > width + 1:
            widths.pop(name, None)
    return text[[*widths]]


def _cells(key: str, row: Mapping[Any, Any], attrs: Mapping[Any, Any]) -> dict[str, str]:
    known = {name: x for name, x in row.items() if not pd.isna(x)}
    names, units = attrs.get("positions", ()), attrs.get("units", {})
    status, regime = str(known.get("status", "?")), known.get("regime")
    return {
        "distance": f"{known['distance']:.3g}" if "distance" in known else "",  # of `similar`
        "scan": scan_text(known.get("scan_id"), known.get("event"), known.get("file")),
        "time": _local(known.get("event_time", known.get("run_time"))),
        "sample": str(known.get("sample", "")),
        _position_heading(names, units): ", ".join(coordinate(known[name]) for name in names if name in known),
        "regime": "" if regime is None else "–" if regime < 0 else str(int(regime)),
        "p": (f"{known['novelty_p']:.2g}" if "novelty_p" in known else "") + NOVEL * bool(known.get("novel")),
        "own p": f"{known['own_p']:.2g}" if "own_p" in known else "",
        **({} if status == "failed" else _technique_cells(known, units)),
        "note": str(known.get("note", "")),
        "status": f"{status}: {known['reason']}" if "reason" in known else status,
        "key": key[:SHORT_KEY],
    }


def _technique_cells(known: Mapping[Any, Any], units: Mapping[str, str]) -> Mapping[str, str]:
    columns = getattr(panels(str(known.get("technique"))), "columns", None)
    if columns is None:
        return {}
    try:
        return {str(name): str(text) for name, text in columns(known, units).items()}
    except Exception:  # a technique may be anybody's code
        logger.exception("the columns of technique %r are not shown", known.get("technique"))
        return {}


def _position_heading(names: Sequence[str], units: Mapping[str, str]) -> str:
    """Return the names of the motors, with the unit once if they share it."""
    distinct = {units.get(name, "") for name in names}
    if len(distinct) == 1:
        (unit,) = distinct
        return ", ".join(names) + (f" ({unit})" if unit else "")
    return ", ".join(f"{name} ({units[name]})" if name in units else name for name in names) or "position"


def _local(when: Any) -> str:
    """Return a time in the local time zone, with its day unless that is today."""
    if when is None:
        return ""
    time = here(when)
    return f"{time:%H:%M:%S}" if time.date() == datetime.now().date() else f"{time:%d %b %H:%M:%S}"


def _texts(values: Mapping[str, str], keys: "pd.Index[Any]") -> NDArray[Any]:
    """Return a column of texts, NaN for a missing one."""
    return np.array([*(values.get(key, np.nan) for key in keys), None], object)[:-1]


def find_key(results: Columns, run: str | int | float) -> str:
    """Return the key of the result that a person means.

    Parameters
    ----------
    results : Columns
    run : int, float or str
        The number of a scan, ``12`` (its first result); ``"12.2"`` or ``12.2`` for its second event; or the first
        characters of a key.

    Raises
    ------
    KeyError
        If no result matches, or several do, also if several runs with this scan number have results.
    """
    text = str(run).removesuffix(".0")  # pandas makes floats of integers where one is missing
    number = re.fullmatch(r"(\d{1,7})(?:\.(\d+))?", text)
    if number is None:
        keys = [str(key) for key in results.frame.index if key.startswith(text)] if text else []
        if len(keys) != 1:
            reason = f"{len(keys)} results have keys that begin so" if keys else "no result has such a key"
            raise KeyError(f"no result {text!r}: {reason}; see the table of results")
        return keys[0]
    scan, event = int(number[1]), int(number[2] or 1)
    of_scan = results.at(results.column("scan_id") == scan)
    if not len(of_scan):
        raise KeyError(f"no result {text!r}: scan {scan} has none; see the table of results")
    usable = ~np.isin(of_scan.column("status").astype(object), ("computing", "failed"))
    of_run = of_scan.at(usable) if usable.any() else of_scan
    first = pd.DataFrame({"run": of_run.column("raw_uid"), "time": of_run.column("run_time")}, of_run.frame.index)
    first = first.sort_values("time").drop_duplicates("run")
    if len(first) > 1:
        which = ", ".join(f"{str(key)[:8]} ({_when(time)})" for key, time in first["time"].items())
        raise KeyError(f"scan {scan} was taken {len(first)} times: give one by its key, {which}")
    of_run = of_scan.at(of_scan.column("raw_uid") == first["run"].iloc[0])
    events = of_run.column("event")
    of_event = of_run.at(np.where(np.isnan(events), 1, events) == event)
    if not len(of_event):
        known = ", ".join(scan_text(scan, one) for one in np.sort(np.where(np.isnan(events), 1, events)))
        raise KeyError(f"no result {text!r}: scan {scan} has {'only ' * (len(events) == 1)}{known}")
    done = of_event.at(~np.isin(of_event.column("status").astype(object), ("computing", "failed")))
    candidates = done if len(done) else of_event
    return str(candidates.frame.index[int(candidates.number.argmax())])  # the last made has the newest parameters


def _when(time: float) -> str:
    return "at an unknown time" if np.isnan(time) else f"{here(pd.Timestamp(time, unit='s', tz='UTC')):%d %b %H:%M}"


def notes_on(key: str, metadata: Mapping[str, Any], notes: Notes) -> list[str]:
    """Return the notes on a result or on its whole run, given the key and the metadata of the result."""
    runs = {metadata.get("raw_uid"), *(metadata.get("raw_uids") or ())}
    return [
        str(note["note"])
        for note in notes
        if note.get("result") == key or ("result" not in note and note.get("raw_uid") in runs)
    ]


def notes_by_key(results: Columns, notes: Notes) -> dict[str, list[str]]:
    """Return the notes on each result that has any, by key."""
    if not notes:
        return {}
    keys, runs = ({str(note.get(name)) for note in notes} for name in ("result", "raw_uid"))
    may_match = results.frame.index.isin([*keys]) | np.isin(results.column("raw_uid").astype(object), [*runs])
    may_match |= results.where("raw_uids", lambda uids: bool(runs & {*uids}))
    some = results.at(np.asarray(may_match, bool))
    rows = zip(some.frame.index, some.column("raw_uid"), some.values("raw_uids"), strict=True)
    texts = {key: notes_on(key, {"raw_uid": uid, "raw_uids": uids}, notes) for key, uid, uids in rows}
    return {key: each for key, each in texts.items() if each}
