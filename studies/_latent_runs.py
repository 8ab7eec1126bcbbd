"""Points of exposures: whether those of one truth are together, and apart from others.

Truths are of every family in `ainerd.dynamics`, the held-out ones among them; an exposure of a truth has parameters
within a quarter, events at any time whose number follows Poisson's law, an azimuth of its own, 250 to 2500 photons a
pixel (.05 to .5 in each of 5000 frames), 570 pixels in each of 18 bins, and a contrast of .1 to .3. Noise is that of
Gaussian pixels, drawn at 64 px by code of the study itself. A campaign has three to six regions, of one truth each
and of different families, with one to ten exposures each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from ainerd.dynamics import KNOWN, Dynamics, clean_exposure, draw
from ainerd.latent import Encoder
from ainerd.latent.training import variant
from ainerd.novelty import find_regimes
from studies._latent_maps import FAMILIES, N_PIXELS

SIZE, BINS = 64, 18
PHOTONS, CONTRAST = (250.0, 2500.0), (0.1, 0.3)
Maps = NDArray[np.float32]


@dataclass
class Exposures:
    """Points (n, d) of exposures by encoder; family and truth (n,) of each."""

    points: dict[str, NDArray[np.float32]]
    family: NDArray[np.int64]
    truth: NDArray[np.int64]

    @classmethod
    def drawn(cls, encoders: dict[str, Encoder], truths: int, each: int, rng: np.random.Generator) -> "Exposures":
        """Draw truths of every family, and exposures of each."""
        points: dict[str, list[NDArray[np.float32]]] = {name: [] for name in encoders}
        family, of = [], []
        for number, (kind, _) in enumerate((kind, k) for kind in range(len(FAMILIES)) for k in range(truths)):
            dynamics = draw(FAMILIES[kind], rng)
            for _ in range(each):
                maps = exposure(variant(dynamics, rng), rng)
                for name, encoder in encoders.items():
                    points[name].append(encoder.encode_run(maps))
                family.append(kind)
                of.append(number)
        return cls({name: np.stack(p) for name, p in points.items()}, np.array(family), np.array(of))


def exposure(dynamics: Dynamics, rng: np.random.Generator) -> Maps:
    """Return maps (18, 64, 64) of an exposure of 1 s, covariances of Gaussian pixels."""
    contrast = rng.uniform(*CONTRAST)
    photons = np.exp(rng.uniform(*np.log(PHOTONS)))
    clean = contrast * clean_exposure(dynamics, rng.uniform(0, 360) + 20.0 * np.arange(BINS)).astype(float)
    shot = SIZE / photons * np.eye(SIZE)
    root = np.linalg.cholesky(clean + shot + 1e-6 * np.eye(SIZE))
    pixels = np.broadcast_to(root, (BINS, SIZE, SIZE)) @ rng.standard_normal((BINS, SIZE, N_PIXELS))
    return (1 + pixels @ pixels.swapaxes(1, 2) / N_PIXELS - shot).astype(np.float32)


Campaign = tuple[NDArray[np.int64], NDArray[np.int64]]  # exposures, and the truth of each


def campaigns(of: Exposures, families: Sequence[int], n: int, seed: int) -> list[Campaign]:
    """Draw campaigns of regions of these families."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(n):
        which = [
            rng.permutation(np.flatnonzero(of.truth == rng.choice(np.unique(of.truth[of.family == kind]))))
            for kind in rng.choice(families, rng.integers(3, 7), replace=False)
        ]
        which = [found[: rng.integers(1, min(len(found), 10) + 1)] for found in which]
        out.append((np.concatenate(which), np.repeat(np.arange(len(which)), [len(found) for found in which])))
    return out


def grouped(points: NDArray[np.float32], drawn: list[Campaign], group: Callable[[Any], NDArray]) -> tuple[float, float]:
    """Return the mean adjusted Rand index, and the mean error of the number of regimes."""
    found = [(group(points[which]), truth) for which, truth in drawn]
    return (
        float(np.mean([adjusted_rand_score(truth, labels) for labels, truth in found])),
        float(np.mean([abs(len(np.unique(labels)) - len(np.unique(truth))) for labels, truth in found])),
    )


def by_cut(cut: float) -> Callable[[NDArray], NDArray]:
    """Return what groups points by average linkage."""
    return lambda z: fcluster(linkage(z, "average"), cut, "distance")


def measures(of: Exposures, name: str, scatter: float, *, n: int = 200) -> dict[str, float]:
    """Return the measures of the points of an encoder with this `scatter`."""
    z = of.points[name]
    known, every = range(len(KNOWN)), range(len(FAMILIES))
    cuts = np.geomspace(0.05, 3, 40) * np.median(np.linalg.norm(z - np.median(z, 0), axis=1))
    tune = campaigns(of, known, n // 2, seed=1)
    best = by_cut(cuts[np.argmax([grouped(z, tune, by_cut(cut))[0] for cut in cuts])])
    test, mixed = campaigns(of, known, n, seed=2), campaigns(of, every, n, seed=3)
    out: dict[str, float] = {}
    out["ARI known, best cut"], _ = grouped(z, test, best)
    out["ARI with held-out, best cut"], out["regimes off by, best cut"] = grouped(z, mixed, best)

    def own(points: NDArray) -> NDArray:
        return find_regimes(points, width=3 * scatter).labels

    out["ARI known"], _ = grouped(z, test, own)
    out["ARI with held-out"], out["regimes off by"] = grouped(z, mixed, own)
    out["range covers the truth"] = covered(z, test + mixed, scatter)
    same = squareform(of.truth[:, None] == of.truth, checks=False)
    other = squareform(of.family[:, None] != of.family, checks=False)
    apart = pdist(z)
    out["same-or-other AUC"] = roc_auc_score(
        np.r_[np.ones(same.sum()), np.zeros(other.sum())], -np.r_[apart[same], apart[other]]
    )
    out["others within the nearest 95 % of same"] = (apart[other] < np.quantile(apart[same], 0.95)).mean()
    half = np.isin(of.truth, np.unique(of.truth)[::2])
    right = KNeighborsClassifier(5).fit(z[half], of.family[half]).predict(z[~half]) == of.family[~half]
    held = of.family[~half] >= len(KNOWN)
    out["5-NN family, other truths"], out["the same, held out"] = right.mean(), right[held].mean()
    return out


def covered(z: NDArray[np.float32], drawn: list[Campaign], scatter: float) -> float:
    """Return the share of the campaigns whose supported range of the number of regimes holds the truth."""
    found = [(find_regimes(z[which], width=3 * scatter).supported_range, truth) for which, truth in drawn]
    return float(np.mean([low <= len(np.unique(truth)) <= high for (low, high), truth in found]))


def stability(encoders: dict[str, Encoder], n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return how often the nearest of n clean latent vectors to a noisy one is its own, by texture of the noise."""
    clean = np.stack(
        [1 + 0.2 * clean_exposure(draw(str(rng.choice(FAMILIES)), rng), [rng.uniform(0, 180)])[0] for _ in range(n)]
    ).astype(np.float32)
    rows = []
    for texture in TEXTURES:
        for sd in (0.05, 0.1, 0.2, 0.4):
            noisy = np.stack([a_map + sd * TEXTURES[texture](rng) for a_map in clean]).astype(np.float32)
            row: dict[str, Any] = {"texture": texture, "sd": sd}
            for name, encoder in encoders.items():
                a, b = encoder.encode(clean), encoder.encode(noisy)
                row[name] = finds_itself(a, b)
            rows.append(row)
    return rows


def finds_itself(clean: NDArray, noisy: NDArray) -> float:
    """Return the share of rows whose nearest clean row is their own."""
    return float((cdist(noisy, clean).argmin(1) == np.arange(len(clean))).mean())


def _blocks(fine: NDArray) -> NDArray:
    return fine.reshape(SIZE, 4, SIZE, 4).mean((1, 3))


def _symmetric(noise: NDArray) -> NDArray:
    return (noise + noise.T) / 2**0.5


def _white(rng: np.random.Generator) -> NDArray:
    return _blocks(_symmetric(rng.standard_normal((256, 256))))


def _smooth(rng: np.random.Generator) -> NDArray:
    """Draw noise correlated over about three cells of 64, of standard deviation a fourth."""
    wave = np.fft.fftfreq(SIZE)
    filtered = np.fft.ifft2(
        np.fft.fft2(rng.standard_normal((SIZE, SIZE)))
        * np.exp(-((wave[:, None] ** 2 + wave**2) * 4 * np.pi**2 * 4.5) / 2)
    ).real
    return _symmetric(filtered / filtered.std()) / 4


def _stripes(rng: np.random.Generator) -> NDArray:
    along = rng.standard_normal(SIZE) / 4
    return along[:, None] + along


def _tailed(rng: np.random.Generator) -> NDArray:
    return _blocks(_symmetric(rng.standard_t(1.5, (256, 256))).clip(-50, 50))


def _masked(rng: np.random.Generator) -> NDArray:
    """Draw lost moments, whose baseline is off by four times the noise."""
    gone = (rng.random(SIZE) < 0.06).astype(float)
    return 4 * np.maximum(gone[:, None], gone) * np.sign(rng.standard_normal())


TEXTURES = {"white": _white, "correlated": _smooth, "striped": _stripes, "heavy-tailed": _tailed, "masked": _masked}
