"""Rivals of the explorer: optimizers of other projects, as the how-to shows them, on hidden maps.

They get the inputs of our explorer: position and embedding of each exposure. A way ends when all regimes with the
area of `smallest_feature` were seen, or after `EXPOSURES`: these optimizers take up to a second for a suggestion. A
regime that was not seen then counts as seen after `MISSED`.
"""

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studies import _hidden_maps as square
from studies._hidden_maps import HiddenMap, Positions
from studies._tools import Row, ratio

EXPOSURES, MISSED = 40, 50
SCORES = ("exposures", "beam time")
FOLDER = Path(__file__).parents[1] / "docs" / "how-to" / "files" / "optimizers"
RIVALS = {"gpCAM": ("gpcam_policy.py", "GpcamPolicy"), "blop (Ax)": ("ax_policy.py", "AxPolicy")}
SOURCES = [FOLDER / file for file, _ in RIVALS.values()]


def rival(name: str) -> Any:
    """Return the optimizer of a rival, on the square."""
    file, of = RIVALS[name]
    spec = importlib.util.spec_from_file_location(file.removesuffix(".py"), FOLDER / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, of)(dict.fromkeys(("sample_x", "sample_y"), (0.0, square.WIDTH_MM)))


def way_of(optimizer: Any, hidden: HiddenMap) -> Positions:
    """Return the positions that an optimizer measures until it has seen all regimes, from the map's start on."""
    unseen = {*square.large(hidden.regions).tolist()}
    here, id, way = hidden.start, "start", list[NDArray[np.float64]]()
    while len(way) < EXPOSURES:
        (point,) = hidden.expose(here[None], len(way))
        way.append(here)
        unseen -= {int(hidden.regime(here[None])[0])}
        if not unseen:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of their fits
            optimizer.ingest([{**point, "_id": id}])
            (suggestion,) = optimizer.suggest(1)
        id = suggestion["_id"]
        here = np.array([suggestion["sample_x"], suggestion["sample_y"]]) / square.WIDTH_MM
    return np.array(way)


def score(hidden: HiddenMap, way: Positions) -> Row:
    """Return exposures and beam time until every regime was seen."""
    way = way[:EXPOSURES]
    first = [np.flatnonzero(hidden.regime(way) == k)[:1] for k in square.large(hidden.regions)]
    n = max(int(one[0]) + 1 if one.size else MISSED for one in first)
    steps = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1)))
    travel = float(steps[n - 1] if n <= len(way) else steps[-1] * MISSED / len(way))
    return {"exposures": n, "missed": n == MISSED, "beam time": n + square.RHO * travel}


def compared(rows: Sequence[Row], rival: str) -> Iterator[Row]:
    """Yield mean scores of each strategy on the prior's kinds, on others, and on all, and ours over its."""
    for group in (*dict.fromkeys(row["group"] for row in rows), "all"):
        some = [row["scores"] for row in rows if group in (row["group"], "all")]
        for name in (square.OURS, rival, "Sobol"):
            row: Row = {"maps": group, "n": len(some), "strategy": name}
            row |= {what: np.mean([each[name][what] for each in some]) for what in (*SCORES, "missed")}
            for what in SCORES:
                ours, its = (np.array([each[n][what] for each in some]) for n in (square.OURS, name))
                row[f"ours / its, {what}"] = ratio(ours, its)
            yield row
