"""What an agent found before it was started."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ainerd.results import ResultStore
from ainerd.runs import Outcome

_SAID = ("raw_uid", "suggestion_id", "status", "novelty_p", "novel", "regime", "reason")


def remembered(store: ResultStore, names: Sequence[str], age: str) -> list[Outcome]:
    """Outcomes of the finished runs in an agent's own store, by time, the failed ones last.

    `names` are the actuators; `age` is what the results call the age of the sample, empty if it is not known.
    """
    embeddings, table = store.embeddings(), store.table()
    found = dict(zip(embeddings.index, embeddings.to_numpy(np.float32), strict=True))
    rows = pd.concat([table.loc[embeddings.index], table[table["status"].eq("failed")]])
    wanted = rows[[name for name in (*_SAID, *names, age) if name in rows]]
    return [_outcome(str(key), row, found.get(key), names, age) for key, row in wanted.to_dict("index").items()]


def _outcome(key: str, row: Mapping[Any, Any], embedding: Any, names: Sequence[str], age: str) -> Outcome:
    said = {name: value for name, value in row.items() if not pd.isna(value)}
    return Outcome(
        raw_uid=said["raw_uid"],
        key=key,
        trial_id=said.get("suggestion_id", key),
        status=said["status"],
        positions={name: said[name] for name in names if name in said},
        embedding=embedding,
        novelty_p=said.get("novelty_p"),
        novel=said.get("novel"),
        regime=said.get("regime", -1),
        age_s=said.get(age),
        reason=said.get("reason", ""),
        is_recalled=True,
    )
