"""The result of a unit, and its words. No other module describes a result."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ainerd.results._records import Metadata, ResultRecord
from ainerd.technique import panels
from ainerd.words import regime_name, regime_names

_SAME = {
    "raw_uid", "status", "scan_id", "event", "n_events", "novelty_p", "novel", "own_p", "regime", "awaits_regime",
    "reason", "own_regimes", "no_claim", "sentences",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The result of a unit, as far as a campaign, plans and people need it.

    It is a view of a `ResultRecord`: a campaign keeps one for each of up to a hundred thousand results.

    Examples
    --------
    >>> result = Result(raw_uid="6f1d", key="6f1d", trial_id="1", status="computing", positions={"sample_x": 3.0})
    >>> result.regime, result.verdict(), result.sentence()
    (-1, 'computing', 'there is no verdict yet')
    """

    raw_uid: str
    key: str
    trial_id: str  # the suggestion that led to the run; the result's key for a run taken by hand
    status: str  # computing, complete, partial, growing or failed
    positions: Mapping[str, float]
    scan_id: int | None = None
    event: int | None = None  # number in the run, where the unit is the event
    n_events: int | None = None  # that the run announced, where the unit is the event
    file: str = ""  # the result file that stands for the run, which has no scan
    embedding: NDArray[np.float32] | None = None  # (d,)
    novelty_p: float | None = None
    novel: bool | None = None  # see `Analysis.novel`
    no_claim: str = ""  # why there is no p-value
    own_p: float | None = None  # against earlier exposures of the session
    own_regimes: list[int] | None = None  # those of these exposures
    regime: int = -1  # -1: unassigned, or failed
    exposure_s: float | None = None  # duration of the exposure
    reason: str = ""  # why it failed, or has no numbers yet
    sentences: list[str] | None = None  # on its page: its `sentence`, and those of the technique
    is_recalled: bool = False  # the result existed: the run came again, or another agent was faster
    awaits_regime: str = ""  # when the result was written, if it has no regime yet
    is_of_another: bool = False  # whether another agent wrote the result
    is_in_tiled: bool = True  # false for a run that Tiled did not accept

    @classmethod
    def of(cls, key: str, metadata: Metadata, positions: Iterable[str], **more: object) -> Self:
        """Return the result with these metadata, and `more` fields; `positions` are names."""
        known = {name: x for name, x in metadata.items() if x is not None}
        given: dict[str, Any] = {name: known[name] for name in known.keys() & _SAME}
        if "embedding" in known:
            given["embedding"] = np.array(known["embedding"], np.float32)
        given |= {"trial_id": known.get("suggestion_id") or key, "file": str(known.get("file", ""))}
        given["positions"] = {name: known[name] for name in positions if name in known}
        return cls(**given | {"key": key, "is_recalled": True} | more)

    @classmethod
    def of_record(cls, record: ResultRecord, **more: object) -> Self:
        """Return the result with this record."""
        return cls.of(record.key, record.metadata(), record.positions, **more)

    @property
    def names(self) -> dict[str, Any]:
        """What `ainerd.words.scan_text` takes."""
        return {name: getattr(self, name) for name in ("scan_id", "event", "n_events", "file")}

    @property
    def is_of_suggestion(self) -> bool:
        """Whether the run was taken for a suggestion, and not by hand."""
        return self.trial_id != self.key

    def verdict(self, names: Mapping[int, str] = {}, remark: str = "") -> str:
        """Return the result in a few words; `names` are those of regimes, `remark` stands after ``novel``.

        Examples
        --------
        >>> [Result.of_record(store.record(store.key(scan))).verdict() for scan in (3, 6)]
        ['no regime, p = 0.01 (novel)', 'no result, zero photons in the bins: is the shutter open?']
        """
        if self.status == "failed":
            return f"no result, {self.reason or 'no reason is given'}"
        if self.reason or self.status == "computing":
            return ", ".join(filter(None, [self.status, self.reason]))
        status = "" if self.status == "complete" else f"{self.status}, "
        regime = regime_name(self.regime, names) if self.regime >= 0 else "no regime"
        p = "no p-value" if self.novelty_p is None else f"p = {self.novelty_p:.2g}"
        return f"{status}{regime}, {p}" + (f" (novel{remark})" if self.novel else "")

    def sentence(self, names: Mapping[int, str] = {}) -> str:
        """Return whether the result is novel and why, or why there is no verdict, without a capital letter and a stop.

        `names` are those of regimes.

        Examples
        --------
        >>> Result.of_record(store.record(store.key(3))).sentence()
        'novel: 1 in 100 exposures of known behaviour would look as unusual'
        """
        if self.embedding is None:
            why = f": {self.reason}" if self.reason else ""
            is_over = self.status == "failed"
            return f"there is no verdict, the analysis failed{why}" if is_over else "there is no verdict yet"
        if self.novelty_p is None:
            return f"there is no p-value: {self.no_claim or 'nothing to compare it with'}"
        text = "novel" if self.novel else "not novel"
        text += f": {_odds(self.novelty_p)} of known behaviour would look as unusual"
        if self.own_p is not None and self.own_regimes:
            kind = regime_names(self.own_regimes, names)
            far = f"{_odds(self.own_p)} of that kind would differ as much from them"
            text += f". Compared with earlier exposures of this session, of {kind}: {far}"
        return text


def explain(record: ResultRecord, *, names: Mapping[int, str] = {}, details: bool = False) -> str:
    """Explain the verdict on a run and the reasons for it, with the technique's sentences on its numbers.

    `names` are those of regimes.

    With `details`, add the statistics behind the verdict and the numbers.
    """
    statistics = _statistics_of(record) if details else []
    parts = [Result.of_record(record).sentence(names), *statistics, *sentences_on(record, details=details)]
    sentences = [parts[0], *(part[:1].upper() + part[1:] for part in parts[1:])]
    return " ".join(each if each.endswith(("?", "!", ".")) else f"{each}." for each in sentences)


def sentences_on(record: ResultRecord, *, details: bool = False) -> list[str]:
    """Return the technique's sentences on the numbers of a result; with `details` also those with statistics."""
    technique, names = panels(record.technique), ("sentences", "details") if details else ("sentences",)
    functions = [getattr(technique, name, None) for name in names if record.embedding is not None]
    return [sentence for function in functions if function is not None for sentence in function(record.summary)]


def _odds(p: float) -> str:
    return f"{100 * p:.0f} in 100 exposures" if p >= 0.1 else f"1 in {1 / max(p, 1e-9):.0f} exposures"


def _statistics_of(record: ResultRecord) -> Iterator[str]:
    """Yield the statistics behind a verdict."""
    if record.novelty_p is None:
        return
    known, own = record.calibration, ""
    if record.own_p is not None:
        own = f", and {record.own_p:.2g} with earlier exposures of this session"
    against = f"the p-value is {record.novelty_p:.2g}, compared with {known['n']} simulated exposures{own}"
    yield f"{against}; novel means p ≤ {known['alpha']:g}"
    terms = {
        name.removeprefix("strangeness_"): x
        for name, x in record.summary.items()
        if name.startswith("strangeness_") and isinstance(x, int | float)
    }
    if terms:
        each = ", ".join(f"{x:.1f} in {name}" for name, x in sorted(terms.items(), key=lambda item: -item[1]))
        of_kind = "less usual than the median exposure of that kind"
        yield f"{of_kind} by {each} (one in ten exposures of that kind exceeds 1)"
