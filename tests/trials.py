"""The exposures that a campaign or an explorer knows."""


def trials_of(exposures):
    """Return position, verdict and embedding (None unless it was measured) of each exposure, by suggestion."""
    return {
        exposures.suggestion(row): {
            **dict(zip(exposures._names, exposures["position"][row].tolist(), strict=True)),
            "novel": bool(exposures.novel[row]),
            "failed": not exposures["measured"][row],
            "embedding": exposures["embedding"][row].tolist() if exposures["measured"][row] else None,
        }
        for row in range(len(exposures))
    }
