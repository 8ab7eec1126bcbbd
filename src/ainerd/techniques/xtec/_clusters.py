"""How many clusters there are, which pixel belongs to which, and whether that is stable."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from ainerd.techniques.xtec._mixture import STARTS, Mixture, Smooth, fit, improve, responsibilities, sample
from ainerd.techniques.xtec._patches import averages

SAMPLE = 20_000  # trajectories that starts are tried on
HALF = 3000  # trajectories of a half that stability is tried on
ALIKE = 0.95  # adjusted Rand index of two sets of starts
STABLE = 0.9  # and of two halves of the trajectories
AGAIN = 0.5  # of a cluster's trajectory, where its pixels are chosen without the temperatures that are looked at


@dataclass(frozen=True)
class Clusters:
    """A mixture, and what it says of each trajectory.

    Attributes
    ----------
    mixture : Mixture
        Clusters by size, the largest first.
    labels : ndarray of int, shape (n,)
    told : ndarray of bool, shape (k,)
        Whether the trajectory of a cluster is more than noise that its pixels were chosen by.
    starts, halves : float
        Adjusted Rand index between two sets of starts, and between fits to two halves of the trajectories.
    tried : mapping of str to ndarray
        For each number of clusters that was tried: ``clusters``, ``halves``, ``bic``.
    """

    mixture: Mixture
    labels: NDArray[np.int64]
    told: NDArray[np.bool_]
    starts: float
    halves: float
    tried: dict[str, NDArray]

    @property
    def stable(self) -> bool:
        """Whether starts agree, and halves."""
        return self.starts >= ALIKE and self.halves >= STABLE


def find_clusters(
    x: NDArray[np.float32], k: int | None, most: int, *, seed: int = 0, smooth: Smooth | None = None
) -> Clusters:
    """`k` clusters of trajectories (n, n_temperatures); None: as many, up to `most`, as two halves of them agree on.

    `smooth` changes responsibilities (k, n) between expectation and maximisation.
    """
    most = min(most if k is None else k, max(len(x) // 10, 1))
    tried = [_tried(x, n, seed) for n in (range(2, most + 1) if k is None else [most])] or [(1, 1.0, np.nan)]
    table = dict(zip(("clusters", "halves", "bic"), map(np.array, zip(*tried, strict=True)), strict=True))
    agree = np.flatnonzero(table["halves"] >= STABLE)
    best = int(agree[-1]) if agree.size else int(table["halves"].argmax())
    k = int(table["clusters"][best])
    mixture, starts = _best(sample(x, np.random.default_rng(seed), SAMPLE), k, seed)
    mixture = mixture if len(x) <= SAMPLE else improve(x, mixture)
    if smooth is not None:
        mixture = improve(x, mixture, smooth=smooth)
    found = responsibilities(x, mixture, smooth)[0].argmax(axis=0)
    size = np.bincount(found, minlength=k)
    order = np.lexsort((mixture.means[:, 0], -size))
    found = np.argsort(order)[found]
    order = order[: np.count_nonzero(size)]
    mixture = Mixture(mixture.weights[order], mixture.means[order], mixture.variances[order], mixture.score)
    told = _told(x, mixture, found, smooth)
    return Clusters(mixture, found, told, starts, float(table["halves"][best]), table)


def _best(some: NDArray[np.float32], k: int, seed: int) -> tuple[Mixture, float]:
    """The more likely mixture of two sets of starts, and how well the two agree."""
    two = [fit(some, k, seed=2 * seed + i, starts=STARTS // 2) for i in range(2)]
    labels = [responsibilities(some, mixture)[0].argmax(axis=0) for mixture in two]
    return max(two, key=lambda m: m.score), float(adjusted_rand_score(*labels))


def _told(
    x: NDArray[np.float32], mixture: Mixture, labels: NDArray[np.int64], smooth: Smooth | None
) -> NDArray[np.bool_]:
    """Of each cluster, whether pixels that belong to it by half of the temperatures go like it at the others.

    Pixels that are alike by chance have a mean trajectory, too, which goes up and down where it chose them.
    """
    alike = []
    for this, other in ((0, 1), (1, 0)):
        half = replace(mixture, means=mixture.means[:, other::2], variances=mixture.variances[:, other::2])
        chosen = responsibilities(x[:, other::2], half, smooth)[0].argmax(axis=0)
        means = [averages(x[:, this::2], by, mixture.k)[0] for by in (labels, chosen)]
        mean, again = (m - m.mean(axis=1, keepdims=True) for m in means)
        alike.append(np.sum(mean * again, axis=1) > AGAIN * np.sum(mean**2, axis=1))
    return np.logical_and(*alike)


def _tried(x: NDArray[np.float32], k: int, seed: int) -> tuple[int, float, float]:
    """A number of clusters, how well fits to two halves agree, and the BIC by one of them."""
    rng = np.random.default_rng((seed, k))
    some = x[rng.permutation(len(x))[: 2 * HALF]]
    fits = [fit(half, k, seed=seed + i, starts=STARTS // 3) for i, half in enumerate(np.array_split(some, 2))]
    said = [responsibilities(some, mixture) for mixture in fits]
    halves = float(adjusted_rand_score(*[shares.argmax(axis=0) for shares, _ in said]))
    return k, halves, replace(fits[0], score=said[0][1]).bic(len(some))
