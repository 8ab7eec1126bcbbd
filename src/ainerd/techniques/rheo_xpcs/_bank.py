"""The frozen calibration bank: exposures of known dynamics, kept without noise."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import Statistics, noisy, noisy_runs
from ainerd.latent._embedding import run_embedding
from ainerd.latent._encoder import Encoder
from ainerd.latent._grid import SIZE, from_triangle
from ainerd.latent._weights import digest
from ainerd.techniques.rheo_xpcs._bank_file import STEPS, read_bank
from ainerd.techniques.rheo_xpcs._features import directions, features
from ainerd.threads import one_thread

_AT_ONCE = 32
# What instruments add to the maps of a run beyond the noise of each bin: standard deviation of the baseline, and
# largest standard deviation of an error that a moment has against all others, in units of the noise of the mean map.
# Both were found in runs of the simulated instrument, whose scattering varies within a sub-bin.
_BASELINE, _FLICKER = 0.008, 1.0
_ENOUGH_DIRECTIONS = 5  # where all are alike, more only divide the same pixels


class Bank:
    """Clean exposures, to be noised to a run's statistics: what noise does to a map depends on them.

    Use `Bank.load`. `n` exposures are held, each of a family in `families`; `id` is the first twelve digits of the
    file's SHA-256.
    """

    def __init__(self, clean: list[NDArray[np.int16]], families: list[str], *, id: str) -> None:
        self._clean, self.families, self.id = clean, families, id
        self.n = len(clean)

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Bank":
        """Load the shipped bank, or one written by ``ainerd calibrate``; raises `ModelError`."""
        if path is None:
            return _shipped()
        clean, families = read_bank(Path(path))
        return cls(clean, families, id=digest(Path(path))[:12])

    @staticmethod
    def gap(*, n_frames: float, counts: float, n_pixels: float, contrast: float) -> str | None:
        """Why a run of these statistics lies outside what the bank covers; None if it does not."""
        found = {"photons_per_pixel": n_frames * counts, "n_pixels": n_pixels, "contrast": contrast}
        for name, value in found.items():
            low, high = Statistics.RANGES[name]
            if not low <= value <= high:
                return f"{name} = {value:.3g}, the bank covers {low:g} to {high:g}"
        return None

    @one_thread  # many small products: more would only wait for each other
    def features(
        self,
        encoder: Encoder,
        *,
        n_frames: float,
        counts: float,
        n_pixels: float,
        contrast: float,
        n_roi: int = 18,
        by_azimuth: bool = True,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Features (n, 46) of each exposure as a run of these statistics would see it, as of `run_features`.

        Bins that see the same are drawn as one of all their pixels, which has the same mean and harmonics.

        Parameters
        ----------
        encoder : Encoder
            One that takes maps of 64 px.
        n_frames, counts, n_pixels, contrast : float
            Frames; photons per pixel and frame; pixels per bin, more than 64; beta.
        n_roi : int
            Azimuthal bins.
        by_azimuth : bool
            Whether the bins are told apart; without it a run is their mean alone.
        seed : int

        Raises
        ------
        ValueError
            If a statistic is not positive, or there are too few pixels.
        """
        _check_positive({"n_frames": n_frames, "counts": counts, "contrast": contrast, "n_roi": n_roi})
        rng, n_directions = np.random.default_rng(seed), directions(n_roi)
        chunks, out = list(self._chunks(np.arange(self.n))), []
        for chunk in chunks:
            clean = self._signal(chunk, contrast)
            d = clean.shape[1]
            if d == 1:
                k = min(n_directions, _ENOUGH_DIRECTIONS)
                phi, nearest = np.pi * (np.arange(k) + 0.5) / k, np.zeros(k, dtype=int)
            else:
                k = n_directions
                phi = 2 * np.pi * (np.arange(k) + 0.5) / n_roi
                nearest = (2 * np.arange(k) + 1) * d // n_roi % d
            pixels = n_pixels * n_roi / k
            maps = noisy(
                clean[:, nearest].reshape(-1, SIZE, SIZE), n_pixels=pixels, n_frames=n_frames, counts=counts, rng=rng
            ).reshape(-1, k, SIZE, SIZE)
            add_systematics(maps, (contrast + SIZE / (n_frames * counts)) / np.sqrt(n_pixels * n_roi), rng)
            mean = maps.mean(1)
            held = encoder.decode(encoder.encode(mean), size=SIZE)
            if not by_azimuth:
                maps, phi = mean[:, None], np.zeros(1)
            about: dict[str, Any] = {"phi": phi, "photons": n_frames * counts, "n_pixels": n_pixels * n_roi}
            out.append(features(held, mean, maps, n_directions=n_directions if by_azimuth else 1, **about))
        return np.concatenate(out)[np.concatenate(chunks).argsort()]

    def landmarks(
        self, encoder: Encoder, *, n_frames: float, counts: float, n_pixels: float, contrast: float, n: int = 900
    ) -> tuple[NDArray[np.float32], list[str]]:
        """Embeddings (n, 16) of the first exposures as runs of 18 bins would see them, and their families."""
        _check_positive({"n_frames": n_frames, "counts": counts, "contrast": contrast})
        which, rng = np.arange(min(n, self.n)), np.random.default_rng(0)
        out = np.empty((which.size, 16), dtype=np.float32)
        for chunk in self._chunks(which):
            runs = noisy_runs(
                self._signal(chunk, contrast), n_pixels=n_pixels, n_frames=n_frames, counts=counts, rng=rng
            )
            out[chunk] = [run_embedding(encoder, encoder.encode(run)) for run in runs]
        return out, self.families[: which.size]

    def _chunks(self, which: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """A few exposures at a time, with as many maps each."""
        n_maps = np.array([len(self._clean[i]) for i in which])
        for count in np.unique(n_maps):
            some = which[n_maps == count]
            yield from np.array_split(some, -(-some.size // _AT_ONCE))

    def _signal(self, which: NDArray[np.intp], contrast: float) -> NDArray[np.float32]:
        """Beta |g1|², (n, d, 64, 64)."""
        return np.float32(contrast / STEPS) * from_triangle(np.stack([self._clean[i] for i in which]))


def add_systematics(maps: NDArray[np.float32], noise: float, rng: np.random.Generator) -> None:
    """Errors that all azimuths of a run share, added in place to maps (n, k, 64, 64) of n runs.

    `noise` is the standard deviation of a cell of the mean map over azimuth.
    """
    n = len(maps)
    flicker = _FLICKER * noise * rng.random((n, 1)) * rng.standard_normal((n, SIZE))
    baseline = _BASELINE * rng.standard_normal((n, 1, 1))
    maps += (baseline + flicker[:, :, None] + flicker[:, None, :])[:, None].astype(np.float32)


def _check_positive(values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


@cache
def _shipped() -> Bank:
    """Read once: it takes a good part of a second."""
    return Bank.load(Path(__file__).parent / "weights" / "bank.safetensors")
