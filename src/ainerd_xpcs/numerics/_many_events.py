"""Factors and diagonals of two-time maps, of long runs of events: of the frames that hold a photon, some at a time."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ainerd_xpcs.numerics._counts import Scales, Sums, scales, shot_noise, static_scale, totals
from ainerd_xpcs.numerics._events import FrameSums
from ainerd_xpcs.numerics._partition import Array, Floats, Partition
from ainerd_xpcs.numerics._reductions import AreaRows

AT_A_TIME = 1 << 12  # frames with a photon that are mapped together


def of_many_events(
    frames: FrameSums, rows: AreaRows, p: Partition, to_map: sp.csr_array, pixels: NDArray[np.int64]
) -> tuple[Floats, list[Floats]]:
    """Return the factor of each sub-bin and the excess on the diagonals of the map.

    `to_map` makes the rows of the map of those of the reducer; `pixels`, (1, n_sub), are those of the sub-bins that
    count.
    """
    dtype = np.dtype(float)
    n_sub, size = len(p.static_roi), to_map.shape[0]
    seen, counts = np.zeros(n_sub, np.int64), np.zeros(n_sub)
    for first, end in frames.parts(AT_A_TIME):
        _, valid, of_frames = frames.between(first, end, dtype)
        pixels_seen, photons, *_ = totals(of_frames, pixels, p, valid)
        seen += pixels_seen
        counts += photons
    sub = static_scale(seen, counts, pixels[-1], p)
    check_light(seen, p)
    terms: list[Floats] = []
    step = max(1, min(size, size * AT_A_TIME // max(frames.n_sums, 1)))
    for i in range(0, size, step):
        # all rows of the map that share a frame with rows i to i + step - 1, and all frames that are in those
        some = slice(i, min(i + step + 2, size))
        used = np.flatnonzero(np.diff(to_map[some].tocsc().indptr))
        first, end = rows.frames_of(int(used[0]), int(used[-1]) + 1)
        ticks, valid, of_frames = frames.between(first, end, dtype)
        sums = Sums(of_frames, pixels)
        good = scales(sums, p, valid)
        scale = Scales(good.frame, sub, good.valid)
        operator = rows.operator_at(to_map[some], ticks)
        n = min(step, size - i)
        weighted = shot_noise(sums, p, scale) * scale.weight**2
        for away, term in enumerate(diagonals(operator, weighted)):
            if away == len(terms):
                terms.append(np.zeros((size - away, p.n_roi)))
            terms[away][i : i + n] = term[:n]
    return sub, terms


def check_light(seen: Array, partition: Partition) -> None:
    """Raise ValueError if nothing was seen."""
    if not seen.any():
        raise ValueError(f"no valid frame with a photon in the {partition.n_roi} bins")


def diagonals(operator: sp.csr_array, diagonal: Floats) -> Iterator[Floats]:
    """Yield the diagonals of R diag(v) Rᵀ, the main one first, until rows share no frame."""
    size = operator.shape[0]
    for away in range(size):
        shared = operator[: size - away].multiply(operator[away:])
        if shared.nnz == 0:
            return
        yield shared @ diagonal
