"""From an `Analysis` to the record that is kept of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.results._records import ResultRecord
from ainerd.technique import Analysis

Series = Mapping[str, tuple[ArrayLike, ArrayLike]]


def completed(record: ResultRecord, analysis: Analysis, series: Series) -> ResultRecord:
    """The complete record."""
    summary, units = dict(analysis.summary), dict(analysis.units)
    for name, (_, values) in series.items():
        units["time"] = "s"
        summary |= _series_summary(name, np.asarray(values, float))
    return added(
        record,
        status="complete",
        reason=None,
        embedding=analysis.embedding,
        novelty_p=analysis.novelty_p,
        novel=_is_novel(analysis),
        model=analysis.model,
        calibration=analysis.calibration,
        summary=summary,
        units=units,
    )


def added(record: ResultRecord, **changes: Any) -> ResultRecord:
    """A copy with some fields changed; positions, summary and units are added to what is there."""
    for name in {"positions", "summary", "units"} & set(changes):
        changes[name] = getattr(record, name) | dict(changes[name])
    return record.changed(**changes)


def _is_novel(analysis: Analysis) -> bool | None:
    if analysis.novelty_p is None:
        return None
    alpha = analysis.calibration.get("alpha")
    if alpha is None:
        raise ValueError("calibration has no 'alpha': say at which novelty_p a run counts as novel")
    return bool(analysis.novelty_p <= alpha)


def _series_summary(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return {}
    numbers = {"mean": known.mean(), "min": known.min(), "max": known.max(), "last": known[-1]}
    return {f"{name}_{what}": float(number) for what, number in numbers.items()}
