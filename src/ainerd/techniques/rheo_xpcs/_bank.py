"""The frozen calibration bank: exposures of known dynamics, kept without noise."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics import nearest_covariances, noisy
from ainerd.latent import SIZE, Encoder, digest
from ainerd.techniques.rheo_xpcs._bank_file import read_bank
from ainerd.techniques.rheo_xpcs._clean import ALIKE, Clean, seen_from
from ainerd.techniques.rheo_xpcs._features import features, sectors_of
from ainerd.techniques.rheo_xpcs._sectors import Sectors
from ainerd.threads import one_thread

_AT_ONCE = 32
# What instruments add to the maps of a run beyond the noise of each bin: standard deviation of the baseline over the
# contrast, and largest standard deviation of an error that a moment has against all others, in units of the noise of
# the mean map. What a run shows beyond is added.
BASELINE, FLICKER = 0.025, 1.0
# Relative standard deviation of a contrast whose error is not known.
CONTRAST_ERR = 0.12
_ENOUGH_SECTORS = 5  # where all are alike, more only divide the same pixels
_FEW = SIZE + 2  # pixels below which Bartlett's decomposition does not hold
# Nine bins around the circle that see nine directions: by Friedel's symmetry as much as eighteen do.
_LANDMARK_PHI = np.arange(10.0, 360.0, 40.0)


class Bank:
    """Clean exposures, to be noised to a run's statistics: what noise does to a map depends on them.

    Use `Bank.load`. `n` exposures are held, each of a family in `families`; `id` is the first twelve digits of the
    file's SHA-256.
    """

    def __init__(self, clean: Sequence[Clean], families: Sequence[str], *, id: str) -> None:
        self.clean, self.families, self.id = list(clean), list(families), id
        self.n = len(self.clean)

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Bank":
        """Load the shipped bank, or one written by ``ainerd calibrate``; raises `ModelError`."""
        if path is None:
            return _shipped()
        clean, families = read_bank(Path(path))
        return cls(clean, families, id=digest(Path(path))[:12])

    @one_thread  # many small products: more would only wait for each other
    def features(
        self,
        encoder: Encoder,
        *,
        n_frames: float,
        counts: float,
        n_pixels: ArrayLike,
        contrast: float,
        contrast_err: float = CONTRAST_ERR,
        phi_deg: ArrayLike | None = None,
        n_roi: int | None = None,
        by_azimuth: bool = True,
        baseline: float | None = None,
        flicker: float = 0.0,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Features (n, 46) of each exposure as a run of these statistics would see it, as of `run_features`.

        Each exposure has a contrast of its own, within the error of the run's. Bins that see the same are drawn as one
        of all their pixels, which has the same mean and harmonics.

        Parameters
        ----------
        encoder : Encoder
            One that takes maps of 64 px.
        n_frames, counts, contrast : float
            Frames; photons per pixel and frame; beta.
        n_pixels : float or array_like, shape (n_roi,)
            Pixels per bin.
        contrast_err : float
            Relative standard deviation of `contrast`.
        phi_deg : array_like, shape (n_roi,), optional
            Centres of the bins; equal and in order around the full circle without them.
        n_roi : int, optional
            Bins; 18 if neither this nor an array says it.
        by_azimuth : bool
            Whether the bins are told apart; without it a run is their mean alone.
        baseline, flicker : float
            Standard deviation of an offset of all maps (`BASELINE` contrasts without it), and of an error that each of
            64 moments has against all others; in units of C2.
        seed : int

        Raises
        ------
        ValueError
            If a statistic is not positive.
        """
        _check_positive({"n_frames": n_frames, "counts": counts, "contrast": contrast, "n_pixels": np.min(n_pixels)})
        alone = 18 if phi_deg is None and np.ndim(n_pixels) == 0 else 1
        n = n_roi or max(np.size(n_pixels), alone if phi_deg is None else np.size(phi_deg))
        sectors = sectors_of(np.broadcast_to(np.asarray(n_pixels, dtype=float), n), phi_deg, by_azimuth)
        photons, rng = n_frames * counts, np.random.default_rng(seed)
        noise = (contrast + SIZE / photons) / np.sqrt(sectors.n_pixels.sum())
        offset = BASELINE * contrast if baseline is None else baseline
        chunks, out = list(self._chunks(np.arange(self.n))), []
        for chunk in chunks:
            some = [self.clean[i] for i in chunk]
            seen = _drawn(sectors, alike=some[0].kind == ALIKE)
            scale = contrast * np.exp(contrast_err * rng.uniform(-(3**0.5), 3**0.5, len(some)))
            clean = seen_from(some, seen.phi_deg, seen.width_deg) * scale[:, None, None, None].astype(np.float32)
            k = len(seen.phi_deg)
            maps = noised(np.broadcast_to(clean, (len(some), k, SIZE, SIZE)), seen.n_pixels, photons, rng)
            add_systematics(maps, noise, rng, baseline=offset, flicker=flicker)
            mean = np.tensordot(maps, seen.share, (1, 0)).astype(np.float32)
            held = encoder.linear.decode(encoder.linear.encode(mean), size=SIZE)
            if len(sectors.phi_deg) == 1:
                maps, seen = mean[:, None], sectors
            out.append(features(held, mean, maps, seen, photons=photons))
        return np.concatenate(out)[np.concatenate(chunks).argsort()]

    def landmarks(
        self, encoder: Encoder, *, n_frames: float, counts: float, n_pixels: float, contrast: float, n: int = 300
    ) -> tuple[NDArray[np.float32], list[str]]:
        """Points (n, n_point) of the first exposures as runs of 18 bins would see them, and their families."""
        _check_positive({"n_frames": n_frames, "counts": counts, "contrast": contrast})
        which, rng = np.arange(min(n, self.n)), np.random.default_rng(0)
        pixels, width = np.full(_LANDMARK_PHI.size, 2.0 * n_pixels), np.full(_LANDMARK_PHI.size, 20.0)
        out = np.empty((which.size, encoder.n_point), dtype=np.float32)
        for chunk in self._chunks(which):
            clean = np.float32(contrast) * seen_from([self.clean[i] for i in chunk], _LANDMARK_PHI, width)
            clean = np.broadcast_to(clean, (len(chunk), pixels.size, SIZE, SIZE))
            runs = noised(clean, pixels, n_frames * counts, rng)
            out[chunk] = [encoder.encode_run(run) for run in runs]
        return out, self.families[: which.size]

    def _chunks(self, which: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """A few exposures at a time, of one kind of maps."""
        kinds = np.array([self.clean[i].kind for i in which])
        for kind in np.unique(kinds):
            some = which[kinds == kind]
            yield from np.array_split(some, -(-some.size // _AT_ONCE))


def _drawn(sectors: Sectors, *, alike: bool) -> Sectors:
    """Sectors to draw: fewer that tell as much where all are alike, and several where one is all around."""
    several = len(sectors.phi_deg) > 1
    k = _ENOUGH_SECTORS
    if (len(sectors.phi_deg) > k and sectors.are_even) if alike else not several:
        return Sectors.of(np.full(k, sectors.n_pixels.sum() / k), 180 / k * (np.arange(k) + 0.5))
    return sectors


def noised(
    clean: NDArray[np.float32], n_pixels: NDArray[np.float64], photons: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Maps of `clean`, beta |g1|² (n, k, 64, 64), with the noise of sectors of so many pixels, (k,)."""
    few = n_pixels < _FEW
    if few.any():
        maps = np.empty(clean.shape, dtype=np.float32)
        for k in np.flatnonzero(few):
            maps[:, k] = _of_few(clean[:, k], max(round(n_pixels[k]), 1), photons, rng)
        if not few.all():
            maps[:, ~few] = noised(clean[:, ~few], n_pixels[~few], photons, rng)
        return maps
    flat = np.ascontiguousarray(clean).reshape(-1, SIZE, SIZE)
    pixels = np.tile(n_pixels, len(clean))
    try:
        maps = noisy(flat, n_pixels=pixels, n_frames=1.0, counts=photons, rng=rng)
    except np.linalg.LinAlgError:  # what steps of 1/4096 lack of a covariance shows where there is no shot noise
        maps = noisy(nearest_covariances(flat), n_pixels=pixels, n_frames=1.0, counts=photons, rng=rng)
    return maps.reshape(clean.shape)


def _of_few(clean: NDArray[np.float32], n_pixels: int, photons: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Maps (n, 64, 64) with the noise of fewer pixels than a map has cells along each time, drawn one by one."""
    shot = SIZE / photons
    values, vectors = np.linalg.eigh(clean + np.eye(SIZE, dtype=np.float32) * shot)
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None]
    pixels = root @ rng.standard_normal((len(clean), SIZE, n_pixels), dtype=np.float32)
    return 1 + pixels @ pixels.swapaxes(1, 2) / n_pixels - np.eye(SIZE, dtype=np.float32) * shot


def add_systematics(
    maps: NDArray[np.float32], noise: float, rng: np.random.Generator, *, baseline: float = 0.005, flicker: float = 0.0
) -> None:
    """Errors that all azimuths of a run share, added in place to maps (n, k, 64, 64) of n runs.

    `noise` is the standard deviation of a cell of the mean map over azimuth, `baseline` that of an offset, `flicker`
    that of an error of a moment against all others.
    """
    n = len(maps)
    spread = np.hypot(FLICKER * noise * rng.random((n, 1)), flicker)
    wander = spread * rng.standard_normal((n, SIZE))
    offset = baseline * rng.standard_normal((n, 1, 1))
    maps += (offset + wander[:, :, None] + wander[:, None, :])[:, None].astype(np.float32)


def _check_positive(values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


@cache
def _shipped() -> Bank:
    """Read once: it takes a good part of a second."""
    return Bank.load(Path(__file__).parent / "weights" / "bank.safetensors")
