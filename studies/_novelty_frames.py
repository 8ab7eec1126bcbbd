"""Frames of the benchmark's own, through the whole technique: Gaussian speckle by Cholesky, Poisson counts."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, RunInfo
from ainerd.techniques.rheo_xpcs import RheoXPCS
from ainerd.xpcs import Partition
from studies._novelty_physics import Squared

_AT_ONCE = 250


def frames(
    squared: Squared,
    n_frames: int,
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    photons: float,
    modes: int,
    speckle_px: float = 1.0,
    flicker: float = 0.0,
) -> NDArray[np.uint16]:
    """Counts (n_frames, ny, nx) of isotropic dynamics; contrast is 1 / modes, photons per pixel of the exposure.

    Each mode is a complex Gaussian field of covariance |g1|, smoothed over pixels where speckle is larger than one.
    """
    t = (np.arange(n_frames) + 0.5) / n_frames
    root = np.linalg.cholesky(np.sqrt(squared(t, 0.0)) + 1e-6 * np.eye(n_frames)).astype(np.float32)
    intensity = np.zeros((n_frames, *shape), dtype=np.float32)
    smooth = _smoothing(shape, speckle_px)
    for _ in range(modes):
        for _part in range(2):  # real and imaginary
            field = rng.standard_normal((n_frames, shape[0] * shape[1]), dtype=np.float32)
            field = (root @ field).reshape(n_frames, *shape)
            if smooth is not None:
                field = np.fft.irfft2(np.fft.rfft2(field) * smooth, shape).astype(np.float32)
            intensity += np.square(field) / (2 * modes)
    if flicker:
        intensity *= (1 + flicker * rng.standard_normal((n_frames, 1, 1))).astype(np.float32)
    return rng.poisson(intensity * (photons / n_frames)).astype(np.uint16)


def _smoothing(shape: tuple[int, int], width: float) -> NDArray[np.float64] | None:
    """Transfer function that makes speckle of about so many pixels across, with variance kept; None for one."""
    if width <= 1:
        return None
    row, column = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    gain = np.exp(-np.square(np.pi * width / 2 / 1.6) * (row**2 + column**2))
    whole = np.exp(-np.square(np.pi * width / 2 / 1.6) * (row**2 + np.fft.fftfreq(shape[1]) ** 2))
    return gain / np.sqrt(np.square(whole).mean())


def analysed(technique: RheoXPCS, counts: NDArray[np.uint16], frame_time_s: float = 0.01) -> Analysis:
    """What the technique says of them."""
    info = RunInfo(raw_uid="x", n_frames=len(counts), frame_shape=counts.shape[1:], frame_time_s=frame_time_s)
    exposure = technique.begin(info)
    for block in _blocks(counts.reshape(len(counts), -1)):
        exposure.push(block[:, exposure.pixels])
    return exposure.finish()


def _blocks(flat: NDArray[np.uint16]) -> Iterator[NDArray[np.uint16]]:
    for start in range(0, len(flat), _AT_ONCE):
        yield flat[start : start + _AT_ONCE]


def bins(n_pixels: tuple[int, ...], phi_deg: tuple[float, ...] | None, columns: int = 60) -> Partition:
    """A partition of plain strips of so many pixels."""
    labels = np.repeat(np.arange(1, len(n_pixels) + 1), n_pixels)
    rows = -(-labels.size // columns)
    roi_map = np.zeros(rows * columns, dtype=int)
    roi_map[: labels.size] = labels
    q = np.full(len(n_pixels), 0.024)
    return Partition.from_roi_map(roi_map.reshape(rows, columns), q, None if phi_deg is None else np.array(phi_deg))
