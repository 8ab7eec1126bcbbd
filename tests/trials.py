"""The trials that an explorer knows."""


def trials_of(explorer):
    """Return position, verdict and embedding (None unless it was measured) of each trial, by id."""
    rows = explorer._trials._rows
    return {
        id: {
            **dict(zip(explorer.names, rows.of(id, "position").tolist(), strict=True)),
            **{name: rows.of(id, name).item() for name in ("novel", "failed")},
            "embedding": rows.of(id, "embedding").tolist() if rows.of(id, "is_measured") else None,
        }
        for id in rows
    }
