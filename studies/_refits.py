"""The refit of the regimes of very many results: its cost, and how far leaders change the labels.

Points are those of a synthetic campaign: 3 to 14 regimes of uneven shares, some hardly the cut apart, others far; a
twentieth of the results are novel. In "drawn out" a regime is a line of up to two cuts, as one that ages; in "heavy
tails" some points lie far from their regime.
"""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

from ainerd.novelty import find_regimes, grouped
from studies._tools import Row, forget_peak, memory_mb

KINDS = ("even", "uneven", "heavy tails", "drawn out")
SIZE, WIDTH = 64, 5.4  # of a point of rheo-XPCS: components, and the distance that two of one regime seldom exceed


def refits(sizes: list[int]) -> Iterator[Row]:
    """Yield the cost of a whole refit, with matched numbers and novel results, for each number of results."""
    for n in sizes:
        z = campaign("uneven", n, 0)
        novel = (np.random.default_rng(1).random(n) <= 0.05).astype(int)
        find = partial(find_regimes, width=WIDTH)
        first, _ = grouped(find, z, np.full(n, -1), novel, width=WIDTH)
        forget_peak()
        before, began, cpu = memory_mb(), time.perf_counter(), time.process_time()
        again, _ = grouped(find, z, first.labels, novel, width=WIDTH)
        yield {
            "results": n,
            "CPU (s)": time.process_time() - cpu,
            "clock (s)": time.perf_counter() - began,
            "memory (MB)": memory_mb("VmHWM") - before,
            "same numbers again": str(np.array_equal(first.labels, again.labels)),
        }


def against_exact(n: int, campaigns: int) -> Iterator[Row]:
    """Yield for each kind how labels agree with the exact tree, and that with the tree of 99 % of results."""
    for kind in KINDS:
        agreement, itself, regimes = [], [], []
        for seed in track(range(campaigns), description=kind):
            z = campaign(kind, n, seed)
            exact = fcluster(linkage(z, "average"), WIDTH, "distance")
            rest = np.random.default_rng([seed, 1]).random(n) >= 0.01
            fewer = fcluster(linkage(z[rest], "average"), WIDTH, "distance")
            labels = find_regimes(z, width=WIDTH).labels
            agreement.append(adjusted_rand_score(exact, labels))
            itself.append(adjusted_rand_score(exact[rest], fewer))
            regimes.append(abs(int(exact.max()) - len(np.unique(labels))))
        yield {
            "kind": kind,
            "campaigns": campaigns,
            "ARI with the exact tree, mean": float(np.mean(agreement)),
            "least": min(agreement),
            "regimes off by, mean": float(np.mean(regimes)),
            "exact tree without 1 % of results: ARI, mean": float(np.mean(itself)),
            "its least": min(itself),
        }


def campaign(kind: str, n: int, seed: int) -> NDArray[np.float32]:
    """Return points (n, 64) of a synthetic campaign."""
    rng = np.random.default_rng(seed)
    n_regimes = int(rng.integers(3, 15))
    labels = rng.choice(n_regimes, n, p=rng.dirichlet(np.full(n_regimes, 0.7)))
    centres = rng.normal(size=(n_regimes, SIZE)) * rng.uniform(0.9, 3.0) / np.sqrt(SIZE)
    noise = rng.normal(size=(n, SIZE)) / 3 / np.sqrt(2 * SIZE)
    z = centres[labels] + noise * (1 if kind == "even" else rng.uniform(0.5, 1.5, n_regimes)[labels, None])
    if kind == "drawn out":
        direction = rng.normal(size=(n_regimes, SIZE))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        z += (rng.random(n) * rng.uniform(0, 2, n_regimes)[labels])[:, None] * direction[labels]
    if kind == "heavy tails":
        z += noise * rng.standard_t(2.5, size=(n, 1))
    return (WIDTH * z).astype(np.float32)
