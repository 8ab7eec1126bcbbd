"""Rules for frames that are not those of one picture in their order; each can be read alone.

Blocks of frames in another order, a picture that moves, and frames that fall behind a monitor.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import uniform_filter1d

from ainerd_xpcs.numerics._partition import Array, Floats, Partition

if TYPE_CHECKING:
    from ainerd_xpcs.numerics._two_time import TwoTimeReducer

FEWEST = 128  # rows of a map
JUMP, ALIKE = 0.3, 0.6  # of the usual correlation of a row with the next but one
MOST_JUMPS = 24
ROWS = 4  # of the pictures before and after a jump
REACH = 16  # pixels
PIXELS = 1 << 18  # of the rows, at most
SURE = 10.0  # standard deviations of the correlation at other displacements
SAME = 0.4  # of the correlation of two pictures before the jump
SHORTEST, LONGEST = 64, 512  # frames whose intensities are compared with the monitor at a time
SLOW = 32  # frames over which the beam is averaged, to see its flicker
IN_STEP = 5.0  # standard deviations of the correlation at other delays


def disorder(two_time: Floats) -> str | None:
    """Return why a map (n, n) is not that of frames in their order; None if it can be.

    Two neighbouring blocks of frames, A and B, came in the order B, A. Then the speckle jumps before B, between B and A
    and after A, and yet the frame before B is like the first one of A, the last of A like the first of B, and the
    last of B like the frame after A. A sample that is strained and released jumps twice and is alike only once.

    Examples
    --------
    >>> c2 = two_time(movie, Partition.from_roi_map(np.ones((40, 40), int)))[0]
    >>> disorder(c2) is None
    True
    >>> order = np.r_[:100, 160:200, 100:160, 200:256]  # a block of frames too early
    >>> disorder(c2[np.ix_(order, order)])
    'frames are out of order: 39% to 54% and 54% to 78% of the exposure are exchanged'
    """
    jumps, c, usual = _jumps(two_time)
    if not 2 <= len(jumps) <= MOST_JUMPS:
        return None
    n = len(c)
    for second in jumps:
        for first in [0, *jumps[jumps < second - 2]]:
            for third in [*jumps[jumps > second + 2], n]:
                pairs = [(third - 1, first + (first > 0))]
                pairs += [(first - 1, second + 1)] if first else []
                pairs += [(second - 1, third + 1)] if third < n else []
                if len(pairs) > 1 and all(j < n and c[i, j] > ALIKE * usual for i, j in pairs):
                    which = f"{first / n:.0%} to {second / n:.0%} and {second / n:.0%} to {third / n:.0%}"
                    return f"frames are out of order: {which} of the exposure are exchanged"
    return None


def shifted(two_time: Floats, reducer: "TwoTimeReducer") -> str | None:
    """Return that the picture moved during the run; None if it did not.

    Where the speckle jumps, the mean of a few rows before the jump is correlated with that of the rows after it, at all
    displacements of up to 16 pixels. A sample that rearranges shows no peak.

    Parameters
    ----------
    two_time : ndarray, shape (n, n)
        Mean map over the bins.
    reducer : TwoTimeReducer
        With the rows of the map.

    Examples
    --------
    >>> frames = movie.copy()
    >>> frames[150:] = np.roll(frames[150:], 3, axis=1)  # the sample slips
    >>> reducer = TwoTimeReducer(Partition.from_roi_map(np.ones((40, 40), int)), 256)
    >>> reducer.push(frames)
    >>> shifted(reducer.maps().mean(axis=0), reducer)
    'the picture moved by 3 rows and 0 columns at 58% of the exposure'
    """
    jumps, _, _ = _jumps(two_time)
    if not jumps.size:
        return None
    n, rows, partition = len(two_time), reducer.means(PIXELS), reducer.partition
    finer = (np.flatnonzero(rows.any(1))[-1] + 1) / n  # rows of the reducer in one of the map
    for at in jumps[:ROWS]:
        if at < 2 * ROWS + 1 or at > n - ROWS - 1:
            continue
        ends = (np.array([at - 2 * ROWS, at - ROWS, at, at + 1, at + 1 + ROWS]) * finer).round().astype(int)
        earlier, before, after = (_picture(rows[a:b], partition) for a, b in (ends[:2], ends[1:3], ends[3:]))
        usual = _correlation(earlier, before)[0][REACH, REACH]
        correlation, sigmas = _correlation(before, after)
        y, x = divmod(int(np.argmax(sigmas)), sigmas.shape[1])
        if (y, x) != (REACH, REACH) and sigmas[y, x] > SURE and correlation[y, x] > SAME * usual:
            return f"the picture moved by {y - REACH} rows and {x - REACH} columns at {at / n:.0%} of the exposure"
    return None


def behind(intensity: Floats, monitor: Floats) -> str | None:
    """Return that the intensities fall behind the monitor during the run; None if not, or if this cannot be seen.

    The flicker of both is correlated in spans of frames, at all delays of up to half a span. Frames that a detector
    loses unnoticed change the delay from there on; a delay that stays the same does no harm.

    Parameters
    ----------
    intensity, monitor : ndarray, shape (n,)
        Photons of each frame, and the monitor's value at the frame of that number.

    Examples
    --------
    >>> flicker = np.random.default_rng(0).normal(1, 0.05, 405)
    >>> behind(flicker[:400], flicker[:400]) is None
    True
    >>> behind(np.delete(flicker, range(200, 205)), flicker[:400])  # the detector lost five frames
    'by the monitor, 5 frames are lost before 88% of the exposure'
    """
    n = len(intensity)
    span = min(n // 4, LONGEST)
    if span < SHORTEST or len(monitor) != n or not np.isfinite(monitor).all():
        return None
    reach, usual = span // 2, None
    ours, theirs = _flicker(intensity), _flicker(monitor)
    for at in range(reach, n - span - reach + 1, span):
        some, around = ours[at : at + span], theirs[at - reach : at + span + reach]
        if not some.std() * around.std() > 0:
            continue
        correlation = np.correlate(around, some) / (span * some.std() * around.std())
        best, noise = int(np.argmax(correlation)), max(1.4826 * float(np.median(np.abs(correlation))), span**-0.5)
        if not correlation[best] > IN_STEP * noise:
            continue
        if usual is None:
            usual = best
        elif correlation[best] - correlation[usual] > IN_STEP * noise:
            what = "lost" if best > usual else "repeated"
            return f"by the monitor, {abs(best - usual)} frames are {what} before {(at + span) / n:.0%} of the exposure"
    return None


def _flicker(values: Floats) -> Floats:
    """Return relative deviations from the mean of some frames; 0 where this is not positive."""
    slow = uniform_filter1d(np.asarray(values, float), SLOW)
    return np.asarray(np.divide(values, slow, out=np.ones(len(values)), where=slow > 0)) - 1


def _jumps(two_time: Floats) -> tuple[NDArray[np.int64], Floats, float]:
    """Return the rows at which the speckle jumps, the map less one, and the usual correlation of near rows."""
    c, n = np.asarray(two_time, float) - 1, len(two_time)
    none = np.empty(0, np.int64)
    if n < FEWEST:
        return none, c, 0.0
    near = np.array([c[i - 1, i + 1] for i in range(1, n - 1)])
    usual = float(np.median(near))
    noise = float(np.median(np.abs(np.diff(near)))) / 0.95  # of the difference of two, which are independent
    if not usual > 8 * noise:
        return none, c, usual
    rows = 1 + np.flatnonzero(near < JUMP * usual)
    return rows[np.diff(rows, prepend=-9) > 1], c, usual  # a jump between two rows shows in both


def _picture(rows: Array, partition: Partition) -> Floats:
    """Return the deviations of pixels from the mean of their static sub-bin, on the detector; zero elsewhere."""
    mean = rows.mean(0, dtype=float)
    sub = np.repeat(np.arange(len(partition.static_roi)), np.diff(partition.static_edges))[: len(mean)]
    seen = (np.bincount(sub, mean) / np.maximum(np.bincount(sub, mean > 0), 1))[sub]  # a pixel left out counts nothing
    out = np.zeros(partition.shape)
    out.flat[partition.pixels[: len(mean)]] = np.where(mean > 0, mean / np.where(seen > 0, seen, 1) - 1, 0)
    return out


def _correlation(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return the correlation at displacements of up to `REACH` pixels, (2 REACH + 1, 2 REACH + 1), and its errors.

    It is the mean over the pixels in use that overlap at this displacement; its errors are by how many usual deviations
    it is above 0. Both are 0 where less than an eighth overlaps.
    """
    n, total = _products(one != 0, other != 0), _products(one, other)
    some = n > n.max() / 8
    sigmas = np.where(some, total, 0) / np.sqrt(np.maximum(n, 1))
    usual = 1.4826 * float(np.median(np.abs(sigmas[some]))) if some.any() else 0.0
    return np.where(some, total, 0) / np.maximum(n, 1), sigmas / max(usual, 1e-300)


def _products(one: Array, other: Array) -> Floats:
    """Return the sums of products of the pixels of two pictures at displacements of up to `REACH` pixels."""
    shape = [next_fast_len(n + REACH, real=True) for n in one.shape]
    product = irfft2(rfft2(one.astype(float), shape).conj() * rfft2(other.astype(float), shape), shape)
    return np.asarray(np.roll(product, (REACH, REACH), (0, 1))[: 2 * REACH + 1, : 2 * REACH + 1])
