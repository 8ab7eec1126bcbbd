"""What an agent found before it was started."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ainerd.results import ResultStore
from ainerd.runs import Outcome

_SAID = ("raw_uid", "suggestion_id", "status", "novelty_p", "novel", "regime", "reason")
_UNSAID: dict[str, Any] = {"regime": -1, "reason": ""}


def remembered(store: ResultStore, names: Sequence[str], age: str) -> list[Outcome]:
    """Outcomes of the finished runs in an agent's own store, by time, the failed ones last.

    `names` are the actuators, `age` is the name of the age of the sample in the results, empty if it is not known.
    """
    embeddings, table = store.embeddings(), store.table()
    table = table[[name for name in (*_SAID, *names, age) if name in table]]
    rows = pd.concat([table.loc[embeddings.index], table[table["status"].eq("failed")]])
    points = [*embeddings.to_numpy(np.float32), *[None] * (len(rows) - len(embeddings))]
    about = zip(*(_values(rows, name) for name in (*_SAID, age)), strict=True)
    places = zip(*(_values(rows, name) for name in names), strict=True)
    return [
        Outcome(
            raw_uid=raw_uid,
            key=key,
            trial_id=key if suggestion is None else suggestion,
            status=status,
            positions={name: x for name, x in zip(names, place, strict=True) if x is not None},
            embedding=point,
            novelty_p=p,
            novel=novel,
            regime=regime,
            age_s=age_s,
            reason=reason,
            is_recalled=True,
        )
        for key, point, place, (raw_uid, suggestion, status, p, novel, regime, reason, age_s) in zip(
            rows.index, points, places, about, strict=True
        )
    ]


def _values(rows: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain values, None (of a regime -1, of a reason nothing) where there is none."""
    unsaid = _UNSAID.get(name)
    if name not in rows:
        return [unsaid] * len(rows)
    is_none = rows[name].isna().tolist()
    return [unsaid if no else x for x, no in zip(rows[name].tolist(), is_none, strict=True)]
