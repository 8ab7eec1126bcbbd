"""Labelled maps with the noise of a run of 5000 frames and 570 pixels a bin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import HELD_OUT, KNOWN, Dynamics, clock, draw, rate_factor, reduced_g1_squared

N_PIXELS, N_FRAMES, SIZE = 570, 5000, 256
CONTRAST = (0.1, 0.3)
FAMILIES = (*KNOWN, *sorted(HELD_OUT))
PARAMETERS = ("log tau", "exponent", "ageing", "fringe frequency", "plateau")
# Within this angle of the flow: across it there are no fringes, and the map is one of another family.
ALONG_DEG = 50.0


@dataclass
class LabelledMaps:
    """Noisy maps of known origin, kept at 64 px and, if asked for, at 256 px.

    Attributes
    ----------
    maps, shape : ndarray, shape (n, 64, 64)
        C2 maps, and |g1|².
    fine : ndarray or None, shape (n, 256, 256)
        The same maps before averaging.
    family : ndarray of int, shape (n,)
        Index in `FAMILIES`.
    contrast : ndarray, shape (n,)
    parameters : ndarray, shape (n, 5)
        Columns `PARAMETERS`; NaN where a family has none.
    """

    maps: NDArray[np.float32]
    shape: NDArray[np.float32]
    fine: NDArray[np.float32] | None
    family: NDArray[np.int64]
    contrast: NDArray[np.float32]
    parameters: NDArray[np.float64]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Whether each map is of a family that no encoder was trained on."""
        return self.family >= len(KNOWN)

    @classmethod
    def drawn(
        cls,
        n: int,
        counts: float,
        rng: np.random.Generator,
        *,
        families: tuple[str, ...] = FAMILIES,
        fine: bool = False,
    ) -> "LabelledMaps":
        """Draw n maps of each family at `counts` photons per pixel and frame."""
        total = n * len(families)
        maps, shape = (np.empty((total, 64, 64), np.float32) for _ in range(2))
        whole = np.empty((total, SIZE, SIZE), np.float32) if fine else None
        contrast = rng.uniform(*CONTRAST, total).astype(np.float32)
        known = np.empty((total, len(PARAMETERS)))
        family = np.repeat([FAMILIES.index(name) for name in families], n)
        for i in range(total):
            dynamics, phi, truth = truth_of(FAMILIES[family[i]], rng)
            noisy = measured(contrast[i] * truth, counts, rng)
            if whole is not None:
                whole[i] = noisy
            maps[i], shape[i] = (block_mean(m) for m in (noisy, truth))
            known[i] = parameters(dynamics, phi)
        return cls(maps, shape, whole, family, contrast, known)


def truth_of(family: str, rng: np.random.Generator) -> tuple[Dynamics, float, NDArray[np.float64]]:
    """Draw dynamics of a family and an azimuth, and return both with |g1|² at 256 px."""
    dynamics = draw(family, rng)
    away = rng.uniform(-ALONG_DEG, ALONG_DEG) if dynamics.is_heterodyne else rng.uniform(0, 180)
    phi = dynamics.flow_deg + away
    return dynamics, phi, seen(dynamics, phi)


def seen(dynamics: Dynamics, phi_deg: float) -> NDArray[np.float64]:
    """Return |g1|² at 256 px of an exposure of 1 s, averaged over a bin of 20 degrees where there are fringes."""
    across = np.linspace(-8.75, 8.75, 8) if dynamics.is_heterodyne else [0.0]
    return np.mean([reduced_g1_squared(dynamics, 1.0, SIZE, [phi_deg + a], oversample=1)[0] for a in across], axis=0)


def block_mean(a_map: NDArray) -> NDArray:
    """Average a map of 256 px to 64 px."""
    return a_map.reshape(64, 4, 64, 4).mean((1, 3))


def measured(signal: NDArray[np.float64], counts: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return C2 of `N_PIXELS` Gaussian pixels of covariance beta |g1|² + shot noise, less its Poisson diagonal."""
    diagonal = np.arange(SIZE)
    shot = SIZE / (N_FRAMES * counts)
    covariance = signal.copy()
    covariance[diagonal, diagonal] += shot
    factor = np.tril(rng.standard_normal((SIZE, SIZE), dtype=np.float32), -1)
    factor[diagonal, diagonal] = np.sqrt(rng.chisquare(N_PIXELS - diagonal))
    factor = np.linalg.cholesky(covariance + 1e-9 * np.eye(SIZE)).astype(np.float32) @ factor
    c2 = factor @ factor.T / np.float32(N_PIXELS)
    c2[diagonal, diagonal] -= shot
    return c2 + 1


def parameters(dynamics: Dynamics, phi_deg: float) -> list[float]:
    """Return minus log mean rate; exponent; log of the first rate over the last; log turns; plateau."""
    name, nan = dynamics.family, np.nan
    s = clock(dynamics, [0.0, 0.02, 0.98, 1.0]) * rate_factor(dynamics, [phi_deg])[0]
    turns = abs(dynamics.flow_rad_s * np.cos(np.deg2rad(phi_deg - dynamics.flow_deg))) / 2 / np.pi
    return [
        -np.log(s[3]) if name in ("fluid", "slow", "arrested", "flow") else nan,
        dynamics.exponent if name in ("fluid", "slow", "ageing", "arrested") else nan,
        np.log((s[1] - s[0]) / (s[3] - s[2])) if name in ("slow", "ageing", "beam") else nan,
        np.log(turns) if name == "flow" else nan,
        dynamics.plateau if name in ("fluid", "arrested") else nan,
    ]
