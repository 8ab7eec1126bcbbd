"""Which results can be compared in the latent space, and which are near each other."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ainerd.results._table import POINT

SCOPE = ["agent", "digest"]  # only embeddings of one agent and the same parameters can be compared


def comparable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the results with an embedding of the size that most of the same agent and parameters have."""
    sizes = results[POINT].map(len, na_action="ignore").fillna(0)
    results, sizes = results[sizes > 0], sizes[sizes > 0]
    if sizes.nunique() < 2:
        return results
    of_scope = sizes.groupby([results[name] for name in SCOPE], dropna=False)
    return results[sizes == of_scope.transform(lambda some: some.value_counts(sort=False).idxmax())]


def embedding_table(results: pd.DataFrame, scope: Mapping[str, object] | None = None) -> pd.DataFrame:
    """Return the embeddings of the results in a scope, by default that of the newest, in the same order."""
    results = comparable(results)
    if scope is None and len(results):
        scope = {name: results[name].iloc[-1] for name in SCOPE}
    for name, value in (scope or {}).items():
        results = results[results[name] == value]
    points = np.array(results[POINT].tolist(), np.float32) if len(results) else np.zeros((0, 0), np.float32)
    return pd.DataFrame(points, index=results.index)


def similar(results: pd.DataFrame, key: str, n: int) -> "pd.Series[float]":
    """Return the distances of the `n` results nearest in the latent space, by key; see `ResultStore.similar`."""
    fitting = comparable(results)
    if key not in fitting.index:
        raise KeyError(f"no complete result {key!r}: see store.table('complete')")
    points = embedding_table(fitting, {name: fitting.at[key, name] for name in SCOPE})
    away = np.linalg.norm(points.to_numpy() - points.loc[key].to_numpy(), axis=1)
    return pd.Series(away, points.index).drop(key).nsmallest(n)
