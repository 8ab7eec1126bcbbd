"""From an `Analysis` to the record that is kept of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ainerd.results._records import ResultRecord
from ainerd.technique import Analysis


def completed(
    record: ResultRecord, analysis: Analysis, tables: Mapping[str, pd.DataFrame], status: str
) -> ResultRecord:
    """The record with what was found; `tables` are the series, by name, with the columns ``time`` and that name."""
    summary, units = dict(analysis.summary), dict(analysis.units)
    for name, table in tables.items():
        numbers = _series_summary(table[name])
        unit = record.units.get(name)
        units |= {"time": "s"} | ({f"{name}_{what}": unit for what in numbers} if unit else {})
        summary |= {f"{name}_{what}": number for what, number in numbers.items()}
    try:
        return added(
            record,
            status=status,
            reason=None,
            retake=None,
            embedding=analysis.embedding,
            novelty_p=analysis.novelty_p,
            novel=analysis.novel,
            model=analysis.model,
            calibration=analysis.calibration,
            summary=summary,
            start={name: x for name, x in record.start.items() if name not in summary | record.summary},
            units=units,
            arrays={name: list(np.shape(array)) for name, array in analysis.arrays.items() if np.size(array)},
            series={name: len(table) for name, table in tables.items()},
            tables={name: len(next(iter(columns.values()))) for name, columns in analysis.tables.items()},
        )
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}".removeprefix(": ") for e in error.errors())
        raise ValueError("; ".join(problems)) from None


def added(record: ResultRecord, **changes: Any) -> ResultRecord:
    """A copy with some fields changed; positions, summary and units are added to what is there."""
    for name in {"positions", "summary", "units"} & set(changes):
        changes[name] = getattr(record, name) | dict(changes[name])
    return record.changed(**changes)


def _series_summary(values: pd.Series) -> dict[str, float]:
    known = values[np.isfinite(values)]
    if known.empty:
        return {}
    return {"mean": known.mean(), "min": known.min(), "max": known.max(), "last": known.iloc[-1]}
