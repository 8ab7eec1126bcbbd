"""Moduli and stress of each cycle of oscillatory shear, from a rheometer's record, and their changes with an echo."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from ainerd_shear._cycle_phase import SEEN, CyclePhase, checked_record

Floats = NDArray[np.float64]
HARMONICS = (1, 3, 5)  # of a stress that is odd in the strain
FEWEST_POINTS = 12  # of a cycle
FALSE_NOTES = 0.01  # probability of a note about a record in which nothing changes
BEFORE = 3  # cycles whose mean a cycle is compared with
FINE = np.linspace(0, 2 * np.pi, 256, endpoint=False)


@dataclass(frozen=True, kw_only=True)
class CycleModuli:
    """The response of each cycle that is measured without a gap of a quarter, (n,); with ``_err``, one standard error.

    Cycles in which the sample rests are left out.

    Attributes
    ----------
    cycle : ndarray of int
        Number of the cycle, the whole part of the phase.
    strain, strain_err : ndarray
        Amplitude of the strain.
    storage, storage_err, loss, loss_err : ndarray
        G' and G'' of the first harmonic, in the unit of the stress.
    tan_delta, tan_delta_err : ndarray
        G'' / G'.
    peak_stress, peak_stress_err : ndarray
        Largest value of the first, third and fifth harmonic together.
    third, third_err : ndarray
        Third harmonic of the stress over the first.

    Examples
    --------
    >>> time = np.arange(0, 20, 0.05)
    >>> turn = 2 * np.pi * 0.5 * time
    >>> strain, stress = 0.1 * np.sin(turn), 40 * np.sin(turn) + 4 * np.cos(turn)
    >>> moduli = cycle_moduli(time, strain, stress, phase_of_record(time, strain))
    >>> moduli.storage[:2].round(1), moduli.tan_delta[:2].round(2)
    (array([400., 400.]), array([0.1, 0.1]))
    """

    cycle: NDArray[np.int64]
    strain: Floats
    strain_err: Floats
    storage: Floats
    storage_err: Floats
    loss: Floats
    loss_err: Floats
    tan_delta: Floats
    tan_delta_err: Floats
    peak_stress: Floats
    peak_stress_err: Floats
    third: Floats
    third_err: Floats


def cycle_moduli(time: ArrayLike, strain: ArrayLike, stress: ArrayLike, phase: CyclePhase) -> CycleModuli:
    """Fit the harmonics of strain and stress in each cycle by least squares.

    Parameters
    ----------
    time, strain, stress : array_like, shape (n,)
        Columns of the record; rows with a number that is not finite are left out.
    phase : CyclePhase
        From the same record.

    Raises
    ------
    ValueError
        If the columns do not fit, or no cycle in which the strain oscillates has twelve points.

    Examples
    --------
    >>> time = np.arange(0, 20, 0.05)
    >>> strain = 0.2 * np.sin(2 * np.pi * 0.5 * time)
    >>> cycle_moduli(time, strain, 30 * strain, phase_of_record(time, strain)).peak_stress[:2].round(1)
    array([6., 6.])
    """
    t, x, y = checked_record(time, strain, stress)
    at = phase.at(t)
    number, rows = np.floor(at).astype(int), []
    for cycle in np.unique(number):
        mine = number == cycle
        turn = 2 * np.pi * at[mine]
        if mine.sum() < FEWEST_POINTS or np.diff(np.append(turn, turn[0] + 2 * np.pi)).max() > np.pi / 2:
            continue  # a quarter of the cycle is missing
        if (row := _of_cycle(turn, x[mine], y[mine])) is not None:
            rows.append((cycle, *row))
    if not rows:
        raise ValueError(f"no whole cycle of the record has {FEWEST_POINTS} points")
    cycle, *columns = np.array(rows).T
    names = [each.name for each in fields(CycleModuli)][1:]
    return CycleModuli(cycle=cycle.astype(np.int64), **dict(zip(names, columns, strict=True)))


def _of_cycle(turn: Floats, x: Floats, y: Floats) -> list[float] | None:
    """Return the columns of `CycleModuli` but the first, of one cycle; None if its strain is no larger than noise."""
    design = np.stack([np.ones_like(turn), *(f(k * turn) for k in HARMONICS for f in (np.sin, np.cos))], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    of = inverse @ design.T @ np.stack([x, y], axis=1)
    rest = np.square(np.stack([x, y], axis=1) - design @ of).sum(0) / (len(turn) - design.shape[1])
    var = inverse[1, 1] * rest  # of a coefficient of strain and stress
    strain, first, third = (complex(*of[[k, k + 1], column]) for k, column in ((1, 0), (1, 1), (3, 1)))
    size = abs(strain)
    if not size > SEEN * np.sqrt(var[0]):
        return None
    modulus = first / strain
    error = float(np.sqrt(var[1] + abs(modulus) ** 2 * var[0])) / size
    curve = np.stack([f(k * FINE) for k in HARMONICS for f in (np.sin, np.cos)], axis=1)
    at = int((curve @ of[1:, 1]).argmax())
    peak_err = float(np.sqrt(curve[at] @ inverse[1:, 1:] @ curve[at] * rest[1]))
    return [
        size, float(np.sqrt(var[0])),
        modulus.real, error, modulus.imag, error,
        modulus.imag / modulus.real, error * abs(modulus) / modulus.real**2,
        float(curve[at] @ of[1:, 1]), peak_err,
        abs(third) / abs(first), float(np.sqrt(var[1] * (1 + abs(third / first) ** 2))) / abs(first),
    ]  # fmt: skip


def change_together(
    cycle: ArrayLike, echo: ArrayLike, echo_err: ArrayLike, modulus: ArrayLike, modulus_err: ArrayLike
) -> tuple[str, ...]:
    """Return a note for each cycle in which an echo and a modulus both change against the three cycles before.

    Parameters
    ----------
    cycle : array_like of int, shape (n,)
        Numbers of cycles that follow each other.
    echo, echo_err : array_like, shape (n,)
        Correlation of each cycle with the one before, and its standard error.
    modulus, modulus_err : array_like, shape (n,)
        Any column of `CycleModuli`.

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> change_together(range(6), [0.9, 0.9, 0.9, 0.9, 0.5, 0.5], [0.01] * 6, [400, 400, 400, 400, 300, 300], [1] * 6)
    ('cycle 4: the echo falls by 0.4 ± 0.012, the modulus falls by 100 ± 1.2',)
    """
    number = np.asarray(cycle)
    columns = [np.asarray(x, dtype=float) for x in (echo, echo_err, modulus, modulus_err)]
    if number.ndim != 1 or any(x.shape != number.shape for x in columns):
        raise ValueError("cycle, echo, modulus and their errors must be of one length")
    notes, begin = [], 0
    limit = norm.isf(FALSE_NOTES / 2 / max(len(number), 1))
    for i in range(1, len(number)):
        before = slice(max(begin, i - BEFORE), i)
        changes = [
            (x[i] - x[before].mean(), np.hypot(err[i], np.sqrt(np.square(err[before]).sum()) / (i - before.start)))
            for x, err in (columns[:2], columns[2:])
        ]
        if all(abs(change) > limit * error for change, error in changes):
            words = [
                f"{'rises' if change > 0 else 'falls'} by {abs(change):.3g} ± {err:.2g}" for change, err in changes
            ]
            notes.append(f"cycle {number[i]}: the echo {words[0]}, the modulus {words[1]}")
            begin = i
    return tuple(notes)
