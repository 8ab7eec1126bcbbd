"""Gaussian fields that forget as g1 says, drawn a block of frames after the other in bounded memory.

A field is the sum of two. `far` is what some knots, spread over time and internal clock, know of it: a product of two
small matrices. `near` is what they do not know. It reaches little further than from one knot to the next, so each block
of it is drawn given the block before, both in full, and nothing older. For exponent 1, where the process is Markov's,
that is exact; for exponents from 0.5 to 2 and up to 5000 frames, g1 is off by 0.003 at most and by 0.0003 rms. Only for
a clock that goes back (echo) at an exponent well below 2 is it worse: the sharp tip of g1 where the clock returns to
an earlier reading is as blunt as the knots are coarse.
"""

import numpy as np
from numpy.typing import NDArray

from ainerd.dynamics import Dynamics
from ainerd.threads import one_thread

BLOCK = 50  # frames
KNOTS = 32  # and more, the less the process is Markov's
CUT = 1e-5  # part of the knots' power that is left to `near`
NEGLIGIBLE = 3e-4  # variance of `near` below which it is left out
JITTER = 1e-6


class Process:
    """A real Gaussian process of unit variance and correlation g1.

    Parameters
    ----------
    part : Dynamics
        A moving part: its exponent and plateau.
    s : ndarray, shape (T,)
        Readings of its clock.

    Attributes
    ----------
    far : ndarray, shape (T, r)
    near : list of ndarray, shape (b, 2 BLOCK)
        For each block, how it follows from the one before and from fresh noise; empty if `far` is all there is.
    """

    @one_thread
    def __init__(self, part: Dynamics, s: NDArray[np.float64]) -> None:
        knots = _knots(s, KNOTS + int(len(s) * abs(part.exponent - 1) / 12))
        power, modes = np.linalg.eigh(_relaxing(part, knots, knots))
        power, modes = power[::-1], modes[:, ::-1]
        rank = np.searchsorted(np.cumsum(power), (1 - CUT) * power.sum()) + 1
        far = _relaxing(part, s, knots) @ (modes[:, :rank] / np.sqrt(power[:rank]))
        left = 1 - np.einsum("tr,tr->t", far, far)
        self.near = []
        if left.max() > NEGLIGIBLE:
            self.near = [_follow(part, s, far, start) for start in range(0, len(s), BLOCK)]
        else:
            far /= np.sqrt(1 - left)[:, None]
        stays = np.full((len(s), 1), np.sqrt(part.plateau))
        self.far = np.hstack([stays, np.sqrt(1 - part.plateau) * far]).astype(np.float32)

    def covariance(self) -> NDArray[np.float64]:
        """What the process really has for g1, (T, T)."""
        near = np.zeros((len(self.far), len(self.far)))
        for number, follow in enumerate(self.near):
            before = slice(max(number - 1, 0) * BLOCK, number * BLOCK)
            now = slice(number * BLOCK, number * BLOCK + len(follow))
            recall, fresh = follow[:, : before.stop - before.start].astype(float), follow[:, BLOCK:].astype(float)
            near[now, : now.start] = recall @ near[before, : now.start]
            near[: now.start, now] = near[now, : now.start].T
            near[now, now] = recall @ near[before, before] @ recall.T + fresh @ fresh.T
        far = self.far.astype(float)
        return far @ far.T + near


class Draw:
    """`n` independent draws of a process.

    Parameters
    ----------
    process : Process
    n : int
    rng : numpy.random.Generator
    """

    def __init__(self, process: Process, n: int, rng: np.random.Generator) -> None:
        self._process, self._rng, self._number = process, rng, 0
        self._amplitudes = rng.standard_normal((process.far.shape[1], n), dtype=np.float32)
        # The block before, and the noise that the next is made of.
        self._state = np.zeros((2 * BLOCK, n), np.float32) if process.near else None

    @one_thread
    def next(self, out: NDArray[np.float32]) -> None:
        """Put the next block into `out`, (b, n)."""
        start = self._number * BLOCK
        np.matmul(self._process.far[start : start + BLOCK], self._amplitudes, out=out)
        if self._state is not None:
            self._rng.standard_normal(dtype=np.float32, out=self._state[BLOCK:])
            near = self._process.near[self._number] @ self._state
            self._state[: len(near)] = near
            out += near
        self._number += 1


def _relaxing(part: Dynamics, s1: NDArray[np.float64], s2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of what does relax, (n1, n2)."""
    return np.exp(-(np.abs(s1[:, None] - s2) ** part.exponent))


def _knots(s: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """At most `n` readings of the clock, spread evenly over time and over the clock's path."""
    if n >= len(s):
        return np.unique(s)
    path = np.r_[0.0, np.cumsum(np.abs(np.diff(s)))]
    spread = path / (path[-1] or 1.0) + np.linspace(0, 1, len(s))
    return np.unique(s[np.searchsorted(spread, np.linspace(0, spread[-1], n)).clip(max=len(s) - 1)])


def _follow(part: Dynamics, s: NDArray[np.float64], far: NDArray[np.float64], start: int) -> NDArray[np.float32]:
    """How the block from `start` on follows, of what `far` leaves, from the one before and from noise: (b, 2 BLOCK)."""
    rows = slice(max(start - BLOCK, 0), start + BLOCK)
    left = _relaxing(part, s[rows], s[rows]) - far[rows] @ far[rows].T
    left[np.diag_indices(len(left))] += JITTER
    n = start - rows.start
    recall = np.linalg.solve(left[:n, :n], left[:n, n:]).T
    fresh = np.linalg.cholesky(left[n:, n:] - recall @ left[:n, n:])
    follow = np.zeros((len(fresh), 2 * BLOCK), np.float32)
    follow[:, :n], follow[:, BLOCK : BLOCK + len(fresh)] = recall, np.sqrt(1 - part.plateau) * fresh
    return follow
