"""Is this run new? A conformal p-value against the bank.

A run can be new in two ways: its maps hold what the encoder cannot (far off the manifold), or they are of a
known kind in an unknown combination (low density). Each gives a rank among calibration runs, the smaller rank
decides, and the rank of that decides p.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler


class NoveltyScorer(BaseEstimator):
    """How familiar a run is, calibrated on runs that are.

    Half of the runs (at random) fits the density, the other half calibrates. The p-value is a full-conformal
    one of the smaller of two ranks, every calibration run being ranked with the new one among them: P(p <=
    alpha) <= alpha for runs exchangeable with the bank's, on average over banks (Bates et al., Ann. Stat. 51,
    149, 2023); for one bank of n it varies by sqrt(2 alpha (1 - alpha) / n).

    Parameters
    ----------
    n_components : int
        Gaussians of the density.
    regularisation : float
        Added to the variances of the standardised embedding.
    random_state : int
        Seed of the split and of the fit.

    Attributes
    ----------
    n_calibration_ : int
        Runs the p-values are ranked among; the smallest p is ``1 / (n_calibration_ + 1)``.
    """

    def __init__(self, *, n_components: int = 8, regularisation: float = 0.005, random_state: int = 0) -> None:
        self.n_components = n_components
        self.regularisation = regularisation
        self.random_state = random_state

    def fit(self, features: ArrayLike, y: None = None) -> Self:
        """Learn what is familiar.

        Parameters
        ----------
        features : array_like, shape (n, d)
            As `run_features`: the run embedding, and in the last column the log residual ratio.
        y : None
            Ignored.

        Raises
        ------
        ValueError
            If there are fewer than four runs a component, or a value is not finite.
        """
        features = _checked(features)
        if len(features) < 4 * self.n_components:
            raise ValueError(f"{len(features)} runs are too few for a density of {self.n_components} components")
        order = np.random.default_rng(self.random_state).permutation(len(features))
        fitted, held = np.array_split(features[order], 2)
        self.n_features_in_ = features.shape[1]
        self.scaler_ = StandardScaler().fit(fitted[:, :-1])
        self.density_ = GaussianMixture(
            self.n_components, reg_covar=self.regularisation, random_state=self.random_state
        ).fit(self.scaler_.transform(fitted[:, :-1]))
        self.n_calibration_ = len(held)
        self._calibration = self._strangeness(held)
        return self

    def score_samples(self, features: ArrayLike) -> NDArray[np.float64]:
        """Familiarity (n,), higher is more familiar.

        The stranger of the two terms, in interquartile ranges from its median on the bank. Unlike p it goes on
        beyond the bank, so it orders what is all novel.
        """
        low, middle, high = np.percentile(self._calibration, [25, 50, 75], axis=0)
        return -((self._strangeness(self._known_width(features)) - middle) / (high - low)).max(1)

    def p_values(self, features: ArrayLike) -> NDArray[np.float64]:
        """Conformal p-value (n,) of each run: small is novel."""
        bank = self._calibration
        among = (bank[None] >= bank[:, None]).sum(1)
        out = []
        for new in self._strangeness(self._known_width(features)):
            ranks = (among + (new >= bank)).min(1)
            rank = (1 + (bank >= new).sum(0)).min()
            out.append((1 + (ranks <= rank).sum()) / (len(bank) + 1))
        return np.array(out)

    def _strangeness(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2): minus log density, log residual ratio."""
        density = self.density_.score_samples(self.scaler_.transform(features[:, :-1]))
        return np.column_stack([-density, features[:, -1]])

    def _known_width(self, features: ArrayLike) -> NDArray[np.float64]:
        features = _checked(features)
        if features.shape[1] != self.n_features_in_:
            raise ValueError(f"features must be (n, {self.n_features_in_}), got {features.shape}")
        return features


def _checked(features: ArrayLike) -> NDArray[np.float64]:
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or features.shape[1] < 2:
        raise ValueError(f"features must be (n, d) with d at least 2, got {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features hold values that are not finite")
    return features
