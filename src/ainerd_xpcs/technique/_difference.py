"""How much the maps of an exposure differ from those of others, over the noise of both.

A result holds the outline of its maps, 32 × 32 cells in each direction of each ring, and its noise. So the difference
needs no other maps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from ainerd_xpcs.latent import block_mean
from ainerd_xpcs.technique._features import Ring, sectors_of
from ainerd_xpcs.technique._sectors import opposite_pairs

CELLS = 32
OUTLINE = ("outline", "outline_noise")
DIMS = {"outline": ("direction", "cell1", "cell2"), "outline_noise": ("direction", "noise")}
UNITS = dict.fromkeys(OUTLINE, "1")
Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


def outline(
    rings: Sequence[Ring], maps: NDArray[np.float32], photons: Floats, speckle_px: float = 1.0
) -> dict[str, NDArray[np.float32]]:
    """Return C2 - 1 in each direction of each ring, (k, 32, 32), and its noise, from maps (n_roi, 256, 256).

    `photons` (n_roi,) are per pixel; `speckle_px` is the number of pixels that see the same speckle. The noise, (k, 2),
    is the number of independent pixels and the shot noise of a cell, in units of C2.
    """
    small, means, noises = block_mean(maps, CELLS) - 1, list[NDArray[Any]](), list[NDArray[Any]]()
    for ring in rings:
        sectors = sectors_of(ring.pixels, ring.phi_deg, ring.phi_deg is not None)
        shot = CELLS / max(float(ring.weights @ photons[ring.bins]), 1e-9)
        pixels = sectors.n_pixels / max(speckle_px, 1.0) / _excess(ring, small[ring.bins], shot, speckle_px)
        means.append(sectors.average(small[ring.bins]))
        noises.append(np.column_stack([pixels, np.full(len(pixels), shot)]))
    return dict(zip(OUTLINE, (np.concatenate(x).astype(np.float32) for x in (means, noises)), strict=True))


def _excess(ring: Ring, maps: NDArray[np.float32], shot: float, speckle_px: float) -> float:
    """Return the variance of the mean of two opposite bins over the expected one, from how much they differ.

    Bins that differ less than expected share speckle, so their mean has up to twice the variance.
    """
    pairs = [] if ring.phi_deg is None else opposite_pairs(ring.phi_deg)
    if not pairs:
        return 1.0
    root = _whitening(np.tensordot(ring.weights, maps, 1), shot)
    white = root.T @ np.array([maps[a] - maps[b] for a, b in pairs]) @ root
    expected = CELLS * (CELLS + 1) * max(speckle_px, 1.0) * np.array([(1 / ring.pixels[list(x)]).sum() for x in pairs])
    ratio = float(((white**2).sum((1, 2)) / expected).mean())
    return max(ratio, 2 - ratio)


def difference(new: Arrays, others: Sequence[Arrays]) -> tuple[float, float] | None:
    """Return reduced chi square of an outline beside the mean of others, and the p-value; None without one to compare.

    A map of Gaussian speckle is a Wishart matrix, with cov(Y_ij, Y_kl) = (S_ik S_jl + S_il S_jk) / N. With W the
    inverse of S, N / 2 tr(W D W D) of a difference D is chi square with a degree of freedom for each cell. Another
    contrast, an offset of each map, and errors of single times against all others, as of a beam that flickers, are no
    difference. Three tests see different changes: of all cells of each direction, of all cells of their mean, and of
    means of this over lags and ages. The least p-value counts, times three.
    """
    alike = [each for each in others if each["outline"].shape == new["outline"].shape]
    same = [each for each in alike if np.isfinite(each["outline"]).all()]
    if not (same and np.isfinite(new["outline"]).all()):
        return None
    mine, noise = (np.asarray(new[name], float) for name in OUTLINE)
    theirs, their_noise = (np.mean([each[name] for each in same], axis=0, dtype=float) for name in OUTLINE)
    maps, noises = np.stack([mine, theirs]), np.stack([noise, their_noise])
    share = noise[:, 0] / noise[:, 0].sum()
    mean, mean_noise = (np.einsum("k,nk...->n...", share, x)[:, None] for x in (maps, noises))
    mean_noise[:, 0, 0] = noises[:, :, 0].sum(1)
    cells, of_mean = _test(maps, noises, len(same)), _test(mean, mean_noise, len(same))
    tests = [cells[:2], of_mean[:2], of_mean[2:]]
    (chi2, freedom), p = min(((x, float(chdtrc(x[1], x[0]))) for x in tests), key=lambda each: each[1])
    return float(chi2 / freedom), min(1.0, len(tests) * p)


def _test(maps: Floats, noise: Floats, n_others: int) -> tuple[float, float, float, float]:
    """Return chi square of two outlines (2, k, 32, 32) with `noise` (2, k, 2), and its degrees of freedom.

    The other two numbers are the same for means over bands of lag and age.
    """
    out = np.zeros(4)
    for (x, y), ((n_x, s_x), (n_y, s_y)) in zip(maps.swapaxes(0, 1), noise.swapaxes(0, 1), strict=True):
        share = n_y * n_others / (n_x + n_y * n_others)
        pooled = (1 - share) * x + share * y
        root = _whitening(pooled, max(s_x, s_y))
        basis = np.concatenate([_ROWS, pooled[None], _BANDS])
        axes = np.linalg.qr((root.T @ basis @ root).reshape(len(basis), -1).T)[0]
        white = (root.T @ (x - y) @ root).ravel()
        along = axes.T @ white
        n = len(_ROWS) + 1
        smooth, left = along[n:] @ along[n:], max(white @ white - along[:n] @ along[:n], 0.0)
        out += [n_x * share / 2 * left, CELLS * (CELLS + 1) / 2 - n, n_x * share / 2 * smooth, len(_BANDS)]
    return out[0], out[1], out[2], out[3]


def _whitening(signal: NDArray[Any], shot: float) -> Floats:
    """Return r with rᵀ (S + shot) r = 1, of a map of C2 - 1."""
    values, vectors = np.linalg.eigh(np.asarray(signal, float) + shot * np.eye(CELLS))
    return np.asarray(vectors / np.sqrt(np.maximum(values, 0.02 * values.max() / CELLS)))


def _bands() -> NDArray[np.float64]:
    """Return bands of lag, (14, 32, 32), each of younger and of older pairs of cells."""
    i, j = np.indices((CELLS, CELLS))
    lag, is_old = np.abs(i - j), i + j >= CELLS
    edges = (0, 1, 2, 3, 5, 8, 13, 21)
    of_lag = [(lag >= low) & (lag < high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return np.array([band & age for band in of_lag for age in (is_old, ~is_old)], dtype=float)


_BANDS = _bands()
_ROWS = np.eye(CELLS)[:, :, None] + np.eye(CELLS)[:, None]  # errors of single times against all others
