"""The trials that an explorer knows."""

import numpy as np


def trials_of(explorer):
    """Return position, verdict, age and embedding (None unless it was measured) of each trial, by id."""
    rows = explorer._trials._rows
    return {
        id: {
            **dict(zip(explorer.names, rows.of(id, "position").tolist(), strict=True)),
            **{name: rows.of(id, name).item() for name in ("novel", "failed")},
            "age_s": None if np.isnan(age_s := rows.of(id, "age_s").item()) else age_s,
            "embedding": rows.of(id, "embedding").tolist() if rows.of(id, "is_measured") else None,
        }
        for id in rows
    }
