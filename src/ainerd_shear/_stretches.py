"""The stretches of a run: cut where the record rests or changes its amplitude, and where a test shows that it yields.

One test decides between no change, training and steps: what explains most of the echoes and moduli, a step at a cycle,
or a power of the number of the cycle. At a step both change.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm
from scipy.stats import t as student

from ainerd.words import value_with_error
from ainerd_shear._cycle_phase import CyclePhase
from ainerd_xpcs.numerics import diagonal_means, fit_curves, lags_of_map, student_factor

Floats = NDArray[np.float64]
FALSE_STEPS = 0.01  # probability of a step in a run in which nothing changes
FEWEST = 3  # cycles before a step, and from it on
EACH = 2.5  # errors by which echo and modulus change
BETTER = 4.0  # in chi square: a step over training
POWERS = np.array([-1.5, -1.0, -0.7, -0.4, -0.2, 0.2, 0.4, 0.7, 1.0, 1.5])  # of the number of a cycle, or of the next
NEAR = 3  # rows of the map of cycles with which a row is compared
SAME_STRAIN = 0.05  # of the amplitude: frames at strains further apart see another speckle, also if all returns
FEWEST_ROWS = 8  # of a stretch whose echoes are fitted
TAU = ("tau_cycles", "tau_cycles_err", "tau_cycles_above")


def find_steps(
    echo: ArrayLike, modulus: ArrayLike | None = None, modulus_err: ArrayLike | None = None, *, before: float = 0.0
) -> tuple[int, ...]:
    """Return the cycles with which a sample yields: echo and modulus change at once, and not as in training.

    Parameters
    ----------
    echo : array_like, shape (n_bins, n)
        Correlation of each cycle with those before, in the bins of one ring, whose scatter gives the error: three or
        more.
    modulus, modulus_err : array_like, shape (n,), optional
        Any column of `CycleModuli` for the same cycles, and its error.
    before : float
        Cycles of shear before the first one.

    Returns
    -------
    tuple of int
        Positions of the first cycle after each step, from 0.

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 0.02, (8, 30))
    >>> find_steps(np.where(np.arange(30) < 20, 0.9, 0.7) + noise)
    (20,)
    """
    bins = np.asarray(echo, dtype=float)
    rows = np.empty((0, 2, bins.shape[-1])) if modulus is None else np.array([[modulus, modulus_err]], dtype=float)
    if bins.ndim != 2 or rows.shape[-1] != bins.shape[1]:
        raise ValueError(f"an echo of shape {bins.shape} does not fit {rows.shape[-1]} cycles with a modulus")
    m, n = bins.shape
    if m < 3 or n < 2 * FEWEST:
        return ()
    rows = np.stack([[bins.mean(0), bins.std(0, ddof=1) / np.sqrt(m)], *rows])
    y = rows[:, 0] / np.sqrt(np.square(rows[:, 1]).mean(1, keepdims=True))
    at = np.arange(FEWEST, n - FEWEST + 1)
    steps, powers = _unit(at[:, None] <= np.arange(n)), _unit((before + 1.0 + np.arange(n)) ** POWERS[:, None])
    gain = np.square(y @ steps.T)  # of chi square, (n_rows, n_steps)
    best = int(gain.sum(0).argmax())
    of_bins = bins @ steps[best]
    far = abs(of_bins.mean()) / of_bins.std(ddof=1) * np.sqrt(m)
    each = np.append(norm.isf(max(student.sf(far, m - 1), 1e-300)), np.sqrt(gain[1:, best]))
    is_one = np.square(each).sum() > chi2.isf(FALSE_STEPS / n, len(each)) and each.min() > EACH
    if not (is_one and gain[:, best].sum() > np.square(y @ powers.T).sum(0).max() + BETTER):
        return ()
    k, rest = int(at[best]), [] if modulus is None else [np.asarray(modulus), np.asarray(modulus_err)]
    first = find_steps(bins[:, :k], *(x[:k] for x in rest), before=before)
    return (*first, k, *(k + j for j in find_steps(bins[:, k:], *(x[k:] for x in rest), before=before + k)))


def _unit(x: NDArray[Any]) -> Floats:
    """Return regressors (k, n) of mean 0 and norm 1."""
    off = x - x.mean(1, keepdims=True)
    return np.asarray(off / np.linalg.norm(off, axis=1, keepdims=True))


def stretches(
    c2: Floats,
    by_cycle: dict[str, NDArray[Any]],
    phase: CyclePhase,
    cycles_a_row: int,
    before: float,
    tau: Sequence[float],
) -> dict[str, NDArray[Any]]:
    """Return a row for each stretch: its first cycle, how many, whether the sample yields then, and its means.

    Parameters
    ----------
    c2 : ndarray, shape (n_bins, n, n)
        Maps of cycles of one ring.
    by_cycle : dict
        The table ``cycles``, of n rows.
    phase : CyclePhase
    cycles_a_row : int
    before : float
        Cycles of shear before the first one.
    tau : sequence of float
        Of the whole run, with error and limit.
    """
    maps = c2[np.isfinite(c2).any((1, 2))]
    n, of_rows = c2.shape[1], by_cycle["cycle"]
    of_record = phase.stretch[np.abs(np.subtract.outer(of_rows + cycles_a_row / 2, phase.phase)).argmin(1)]
    near, own = np.full((len(maps), n), np.nan), np.diagonal(maps, 0, 1, 2) - 1
    has_frames = np.asarray(np.isfinite(own).any(axis=0))
    near[:, NEAR:] = np.mean([np.diagonal(maps, k, 1, 2)[:, NEAR - k :] - 1 for k in range(1, NEAR + 1)], axis=0)
    own = np.mean([own[:, NEAR - k : n - k] for k in range(NEAR + 1)], axis=0)
    near[:, NEAR:] -= own * np.nanmean(near) / np.nanmean(own)  # the contrast of a few speckles varies
    moduli = [by_cycle[name] for name in ("storage_pa", "storage_pa_err") if name in by_cycle]
    known = np.isfinite([*near, *moduli]).all(0)
    begins, yields = [], []
    for a in [0, *np.flatnonzero(np.diff(of_record)) + 1]:
        b = n if (of_record[a:] == of_record[a]).all() else a + int((of_record[a:] != of_record[a]).argmax())
        rows = np.flatnonzero(known & (np.arange(n) >= a + NEAR) & (np.arange(n) < b))
        steps = find_steps(near[:, rows], *(x[rows] for x in moduli), before=before / cycles_a_row + a + NEAR)
        begins += [a, *rows[list(steps)].tolist()]
        yields += [False, *[True] * len(steps)]
    out: dict[str, list[Any]] = {"first_cycle": [], "n_cycles": [], "yields": yields}
    for a, b in zip(begins, [*begins[1:], n], strict=True):
        out["first_cycle"].append(int(by_cycle["cycle"][a]))
        out["n_cycles"].append(np.count_nonzero(has_frames[a:b]) * cycles_a_row)
        for name in by_cycle:
            if f"{name}_err" in by_cycle:
                value, error = (by_cycle[f"{name}{end}"][a + (name == "echo") : b] for end in ("", "_err"))
                there = np.isfinite(value)
                some = max(int(there.sum()), 1)
                out.setdefault(name, []).append(value[there].mean() if there.any() else np.nan)
                out.setdefault(f"{name}_err", []).append(np.sqrt(np.square(error[there]).sum()) / some)
        decay = _decay(maps[:, a:b, a:b], cycles_a_row) if len(begins) > 1 else tau
        creep = phase.creep(decay[0], of_rows[a], of_rows[a] + (b - a) * cycles_a_row) if decay[0] > 0 else np.nan
        out.setdefault("creep", []).append(creep)
        for name, number in zip(TAU, (np.nan,) * len(TAU) if creep > SAME_STRAIN else decay, strict=True):
            out.setdefault(name, []).append(number)
    return {name: np.array(values) for name, values in out.items()}


def _decay(maps: Floats, cycles_a_row: int) -> tuple[float, ...]:
    """Return tau of the echoes of a stretch in cycles, with its error and its 95 % limit; an unknown number is NaN.

    The error is that of fits without one bin each (jackknife), or of the fit if that is larger.
    """
    m, n = maps.shape[:2]
    if m < 3 or n < FEWEST_ROWS:
        return (np.nan,) * len(TAU)
    g2 = np.array([diagonal_means(each) for each in maps])
    error = student_factor(m - 1) * g2.std(0, ddof=1) / np.sqrt(m)
    curves = np.append([g2.mean(0)], (g2.sum(0) - g2) / (m - 1), axis=0)
    fit = fit_curves(lags_of_map(n)[0] * cycles_a_row, curves, np.tile(error, (m + 1, 1)), n_frames=n, share=[])
    tau = float(fit.tau[0])
    without = tau * float(np.nanstd(np.log(fit.tau[1:]))) * np.sqrt(m - 1) if np.isfinite(fit.tau[1:]).any() else 0.0
    return tau, max(float(fit.tau_err[0]), without * student_factor(m - 1)), float(fit.tau_above[0])


def notes(table: dict[str, NDArray[Any]]) -> str:
    """Describe how the numbers of a sample change where it yields, or where its amplitude changes."""
    out = []
    names = {"strain": "the strain", "echo": "the echo", "storage_pa": "G' in Pa", "tau_cycles": "tau in cycles"}
    for k in range(1, len(table["first_cycle"])):
        changes = [
            f"{words} from {value_with_error(table[name][k - 1], table[f'{name}_err'][k - 1])} "
            f"to {value_with_error(table[name][k], table[f'{name}_err'][k])}"
            for name, words in names.items()
            if name in table and np.isfinite(table[name][k - 1 : k + 1]).all()
        ]
        out.append(f"cycle {table['first_cycle'][k]}: {', '.join(changes)}")
    return "; ".join(out)
