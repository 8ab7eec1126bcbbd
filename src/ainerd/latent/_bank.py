"""The frozen calibration bank: exposures of known dynamics, kept without noise."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ainerd.latent._corpus import DIRECTIONS, Statistics, noisy_runs
from ainerd.latent._embedding import exposure_features
from ainerd.latent._encoder import Encoder
from ainerd.latent._grid import ROWS, from_triangle
from ainerd.latent._weights import SHIPPED, ModelError, digest, read_weights

_AT_ONCE = 32


class Bank:
    """Clean exposures, to be noised to a run's statistics: what noise does to a map depends on them.

    Use `Bank.load`.

    Attributes
    ----------
    id : str
        First twelve digits of the file's SHA-256.
    n : int
        Exposures held.
    families : list of str
        Family of each.
    """

    def __init__(self, clean: list[NDArray[np.float16]], families: list[str], *, id: str) -> None:
        self._clean, self.families, self.id = clean, families, id
        self.n = len(clean)

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Bank":
        """Load the shipped bank, or one written by ``ainerd train``; raises `ModelError`."""
        path = SHIPPED / "bank.safetensors" if path is None else Path(path)
        tensors, recipe = read_weights(path, "bank", {"g1_squared": 2, "directions": 1})
        triangles, directions = tensors["g1_squared"], tensors["directions"]
        families = recipe.get("exposure_families", [])
        fits = directions.shape == (len(families),) and triangles.shape == (directions.sum(), ROWS.size)
        if not (fits and set(directions.tolist()) <= {1, DIRECTIONS.size}):
            raise ModelError(f"{path}: {len(families)} families do not fit triangles of shape {triangles.shape}")
        return cls(np.split(triangles, directions.cumsum()[:-1]), families, id=digest(path)[:12])

    @staticmethod
    def gap(*, n_frames: float, counts: float, n_pixels: float, contrast: float) -> str | None:
        """Why a run of these statistics lies outside what the bank covers; None if it does not."""
        found = {"photons_per_pixel": n_frames * counts, "n_pixels": n_pixels, "contrast": contrast}
        for name, value in found.items():
            low, high = Statistics.RANGES[name]
            if not low <= value <= high:
                return f"{name} = {value:.3g}, the bank covers {low:g} to {high:g}"
        return None

    def features(
        self,
        encoder: Encoder,
        *,
        n_frames: float,
        counts: float,
        n_pixels: float,
        contrast: float,
        n_roi: int = 18,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Features of each exposure as a run of these statistics would see it.

        Parameters
        ----------
        encoder : Encoder
            One that takes maps of 64 px.
        n_frames, counts, n_pixels, contrast : float
            Frames; photons per pixel and frame; pixels per bin, more than 64; beta.
        n_roi : int
            Azimuthal bins: independent draws of the exposure's map.
        seed : int

        Returns
        -------
        ndarray, shape (n, 17), float32
            As `run_features`.

        Raises
        ------
        ValueError
            If a statistic is not positive, or there are too few pixels.
        """
        for name, value in {"n_frames": n_frames, "counts": counts, "contrast": contrast}.items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        condition = {"n_frames": n_frames, "counts": counts, "n_pixels": n_pixels}
        rng = np.random.default_rng(seed)
        directions = np.array([len(clean) for clean in self._clean])
        alike = [np.flatnonzero(directions == d) for d in np.unique(directions)]
        chunks = [chunk for which in alike for chunk in np.array_split(which, -(-which.size // _AT_ONCE))]
        out = []
        for chunk in chunks:
            clean = contrast * from_triangle(np.stack([self._clean[i] for i in chunk]).astype(np.float32))
            maps = noisy_runs(clean, n_roi=n_roi, rng=rng, **condition)
            out.append(exposure_features(encoder, maps, **condition))
        return np.concatenate(out)[np.concatenate(chunks).argsort()]
