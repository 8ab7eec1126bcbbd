"""Answers of `ainerd mcp`, as plain values. Each names the keys of the results that it rests on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ainerd.results import Propose, ResultStore, principal_of, read_agent, scan_text

MOST = 200  # rows of an answer
LONGEST = 1000  # characters of a text
MOST_PROPOSED = 20  # suggestions that wait for a person
ME = "ainerd mcp"
NO_CLAIM = "no claim"


class Answers:
    """Answer questions about a campaign. Only `propose` writes.

    An invalid question raises ValueError or KeyError with a message of one line.
    """

    def __init__(self, store: ResultStore) -> None:
        self._store = store

    def results(self, n: int = 20) -> dict[str, Any]:
        """Return the `n` newest results, newest first."""
        table = self._store.table()
        return _rows(table.iloc[::-1].iloc[: _few(n)], len(table))

    def search(
        self,
        text: str = "",
        regime: int | None = None,
        novel: bool | None = None,
        status: str | None = None,
        where: Mapping[str, list[float | None]] | None = None,
        n: int = 20,
    ) -> dict[str, Any]:
        """Return the results that match all criteria, newest first.

        `where` gives limits [low, high] by name; null leaves a side open.
        """
        limits: dict[str, Any] = {name: tuple(x) for name, x in (where or {}).items()}
        found = self._store.search(text=text or None, regime=regime, novel=novel, status=status, **limits)
        return _rows(found.iloc[::-1].iloc[: _few(n)], len(found))

    def explain(self, run: str) -> dict[str, Any]:
        """Explain why a run is novel or not."""
        key = self._store.key(run)
        row = self._store.table().loc[key]
        named = self._store.table().attrs["positions"]
        return {"explanation": _short(self._store.explain(key)), **_of(key, row, named), "rests_on": [key]}

    def similar(self, run: str, n: int = 5) -> dict[str, Any]:
        """Return the results nearest to a run in the latent space, nearest first.

        Only results with the same parameters are compared.
        """
        key = self._store.key(run)
        near = self._store.similar(key, _few(n))
        found = _rows(near, len(near))
        for row, distance in zip(found["results"], near["distance"], strict=True):
            row["distance"] = float(distance)
        return {**found, "to": key, "rests_on": [key, *found["rests_on"]]}

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """Compare two runs: return each number that both have, with its errors and the difference in errors."""
        keys = [self._store.key(run) for run in (first, second)]
        a, b = (self._store.record(key) for key in keys)
        table = self._store.table()
        numbers = {}
        own: dict[str, Any] = dict(a.summary)
        for name, x in own.items():
            y: Any = b.summary.get(name)
            if name.endswith("_err") or not all(isinstance(v, int | float) for v in (x, y)):
                continue
            errors: list[Any] = [each.summary.get(f"{name}_err") for each in (a, b)]
            about: dict[str, Any] = {"first": x, "second": y, "errors": errors, "unit": a.units.get(name, "")}
            if all(isinstance(error, int | float) and error > 0 for error in errors):
                about["difference_in_errors"] = float((x - y) / np.hypot(*errors))
            numbers[name] = about
        distance = None
        if a.embedding is not None and b.embedding is not None and a.digest == b.digest:
            distance = float(np.linalg.norm(np.subtract(a.embedding, b.embedding)))
        return {
            "first": _of(keys[0], table.loc[keys[0]], table.attrs["positions"]),
            "second": _of(keys[1], table.loc[keys[1]], table.attrs["positions"]),
            "numbers": numbers,
            "distance": distance,
            "distance_means": "of their points in the latent space; null: they cannot be compared",
            "rests_on": keys,
        }

    def log(self, n: int = 20) -> dict[str, Any]:
        """Return the newest `n` lines of the log, newest last."""
        lines = self._store.logbook().iloc[-_few(n) :]
        named = [x for x in lines.get("result", pd.Series(dtype=object)) if isinstance(x, str)]
        said = zip(lines["created"], lines["text"], strict=True)
        shown = [f"{when.isoformat(timespec='seconds')} {_short(str(text))}" for when, text in said]
        return {"lines": shown, "rests_on": list(dict.fromkeys(named))}

    def next_suggestion(self, agent: str | None = None) -> dict[str, Any]:
        """Return the position that an agent suggests next, with its reason.

        The position is measured only if a plan or a person takes the suggestion.
        """
        record = self._store.next_suggestion(agent)
        if record is None:
            return {"suggestion": None, "rests_on": []}
        about = {"id": record.id, "position": record.positions, "reason": _short(record.reason), "terms": record.terms}
        keys = list(map(str, self._store.table("complete").index[-3:]))
        return {"suggestion": {**about, "agent": record.agent}, "rests_on": keys}

    def status(self) -> dict[str, Any]:
        """Return the number of results by status, the number of regimes, the claims, and the state of each agent."""
        table = self._store.table()
        claims, novel = int(table["novelty_p"].notna().sum()), int(table["novel"].fillna(False).sum())
        agents = {name: read_agent(self._store.container, name) for name in _agents(table)}
        return {
            "results": {str(status): int(n) for status, n in table["status"].value_counts().items()},
            "regimes": int(table["regime"].dropna().loc[lambda x: x >= 0].nunique()),
            "claims": {"results_with_p": claims, "called_novel": novel, "without_claim": len(table) - claims},
            "agents": {
                name: {key: said.get(key) for key in ("held", "review", "explored", "health")}
                | {"bound": (said.get("novelty") or {}).get("bound") or NO_CLAIM}
                for name, said in agents.items()
            },
            "rests_on": list(map(str, table.index[-MOST:])),
        }

    def propose(self, position: Mapping[str, float], reason: str, agent: str | None = None) -> dict[str, Any]:
        """Propose a position. It is measured only if a person takes the suggestion on the page."""
        agents = _agents(self._store.table()) if agent is None else [agent]
        if len(agents) != 1:
            raise ValueError(f"say which agent: there are {', '.join(agents) or 'none'}")
        bounds = read_agent(self._store.container, agents[0]).get("bounds")
        if not bounds:
            raise ValueError(f"agent {agents[0]!r} takes no proposals: it has not written its bounds to Tiled yet")
        if set(position) != set(bounds):
            raise ValueError(f"a position has {', '.join(bounds)}")
        for name, (low, high) in bounds.items():
            if not low <= position[name] <= high:
                raise ValueError(f"{name} = {position[name]:g} lies outside its bounds ({low:g}, {high:g})")
        if not reason.strip():
            raise ValueError("give a reason for this position")
        known = self._store.suggestions()
        if int(known["status"].eq("proposed").sum()) > MOST_PROPOSED:
            raise ValueError(f"{MOST_PROPOSED} suggestions wait for a person already")
        proposal = Propose(
            agent=agents[0],
            position=dict(position),
            why=_short(reason),
            by=ME,
            principal=principal_of(self._store.container),
        )
        id = self._store.propose(proposal)
        return {"id": id, "status": "proposed", "measured": "only if a person takes it", "rests_on": []}


def _rows(table: pd.DataFrame, of: int) -> dict[str, Any]:
    rows = [_of(str(key), row, table.attrs.get("positions", ())) for key, row in table.iterrows()]
    return {"results": rows, "of": of, "rests_on": [row["key"] for row in rows]}


def _of(key: str, row: Any, motors: Sequence[str]) -> dict[str, Any]:
    """Return the position, regime and verdict of one result."""
    known = {str(name): x for name, x in row.items() if not (pd.api.types.is_scalar(x) and pd.isna(x))}
    p = known.get("novelty_p")
    claim = NO_CLAIM if p is None else "novel" if known.get("novel") else "not novel"
    about = {
        "key": key,
        "scan": scan_text(known.get("scan_id"), known.get("event")),
        "time": known["run_time"].isoformat() if "run_time" in known else None,
        "status": known.get("status"),
        "regime": int(known["regime"]) if "regime" in known else None,
        "p": None if p is None else float(p),
        "claim": claim,
        "position": {name: float(known[name]) for name in motors if name in known},
    }
    about |= {name: _short(str(known[name])) for name in ("reason", "note", "no_claim", "sample") if name in known}
    return about


def _few(n: int) -> int:
    if not 1 <= n <= MOST:
        raise ValueError(f"n is 1 to {MOST}")
    return n


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _agents(table: pd.DataFrame) -> list[str]:
    return sorted(map(str, table["agent"].dropna().unique())) if "agent" in table else []
