"""Exposures of 18 azimuths, as a run gives them, and what each way to tell novelty sees of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from ainerd.dynamics import draw
from ainerd.dynamics._corpus import clean_exposure, noisy_runs
from ainerd.latent import Encoder, run_embedding
from ainerd.techniques.rheo_xpcs import run_features
from ainerd.techniques.rheo_xpcs._bank import add_systematics

CONTRAST = 0.2


@dataclass
class Exposures:
    """What is seen of n exposures.

    Attributes
    ----------
    family : ndarray of str, shape (n,)
    embedding, features : ndarray, shape (n, 16) and (n, 46)
        As `run_embedding` and `run_features`.
    latent, clean_latent : ndarray, shape (n, 16)
        Linear latent vectors of the mean map over azimuth, as measured and without noise.
    error : ndarray, shape (n,)
        Mean squared difference between the maps and what the learned encoder reconstructs of them.
    """

    family: NDArray[np.str_]
    embedding: NDArray[np.float32]
    features: NDArray[np.float32]
    latent: NDArray[np.float32]
    clean_latent: NDArray[np.float32]
    error: NDArray[np.float32]

    @classmethod
    def drawn(
        cls,
        families: tuple[str, ...],
        each: int,
        seed: int,
        progress: Progress,
        *,
        n_frames: float = 5000.0,
        counts: float = 0.1,
        n_pixels: float = 570.0,
    ) -> "Exposures":
        """Draw exposures of these families."""
        rng, linear, learned = np.random.default_rng(seed), Encoder.load("pca"), Encoder.load("ours")
        statistics = {"n_frames": n_frames, "counts": counts, "n_pixels": n_pixels}
        rows = []
        for family in progress.track([f for f in families for _ in range(each)], description=f"exposures, seed {seed}"):
            signal = np.float32(CONTRAST) * clean_exposure(draw(family, rng, 1.0))
            maps = noisy_runs(signal[None], rng=rng, **statistics)[0]
            add_systematics(maps[None], (CONTRAST + 64 / (n_frames * counts)) / np.sqrt(18 * n_pixels), rng)
            mean, clean = maps.mean(0, keepdims=True), 1 + signal.mean(0, keepdims=True)
            rows.append(
                (
                    family,
                    run_embedding(linear, linear.encode(maps)),
                    run_features(linear, maps, **statistics),
                    linear.encode(mean)[0],
                    linear.encode(clean)[0],
                    np.square(maps - learned.decode(learned.encode(mean), size=64)).mean(),
                )
            )
        return cls(*(np.array(column) for column in zip(*rows, strict=True)))

    def where(self, which: NDArray) -> "Exposures":
        """Some of them."""
        return Exposures(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


class Rivals:
    """Other ways to tell novelty, each split-conformal: half of the known exposures fits, half calibrates."""

    names = ("5-NN distance", "PCA residual", "raw reconstruction error", "ensemble disagreement")

    def __init__(self, known: Exposures) -> None:
        order = np.random.default_rng(0).permutation(len(known.family))
        fitted, held = (known.where(half) for half in np.array_split(order, 2))
        self._neighbours = NearestNeighbors(n_neighbors=5).fit(fitted.latent)
        # Encoders are trained for minutes each; small networks that take the noise off the linear latent vector,
        # each on a bootstrap of the exposures, stand for them.
        self._scaler, rng = StandardScaler().fit(fitted.latent), np.random.default_rng(0)
        self._networks = []
        for seed in range(5):
            some = rng.integers(len(fitted.latent), size=len(fitted.latent))
            given, wanted = (self._scaler.transform(x[some]) for x in (fitted.latent, fitted.clean_latent))
            self._networks.append(
                MLPRegressor(
                    hidden_layer_sizes=(64,),
                    early_stopping=True,
                    tol=1e-3,
                    n_iter_no_change=4,
                    max_iter=400,
                    random_state=seed,
                ).fit(given, wanted)
            )
        self._calibration = {name: np.sort(scores) for name, scores in self._scores(held).items()}

    def p_values(self, exposures: Exposures) -> dict[str, NDArray[np.float64]]:
        """By rival, (n,)."""
        out = {}
        for name, scores in self._scores(exposures).items():
            held = self._calibration[name]
            out[name] = (1 + len(held) - np.searchsorted(held, scores)) / (len(held) + 1)
        return out

    def _scores(self, exposures: Exposures) -> dict[str, NDArray]:
        given = self._scaler.transform(exposures.latent)
        told = np.stack([network.predict(given) for network in self._networks])
        scores = (
            self._neighbours.kneighbors(exposures.latent)[0].mean(1),
            exposures.features[:, 15],
            exposures.error,
            told.var(0).mean(1),
        )
        return dict(zip(self.names, scores, strict=True))
