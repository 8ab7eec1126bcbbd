"""Moduli and stress of each cycle of oscillatory shear, from a rheometer's record."""

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from ainerd_shear._cycle_phase import SEEN, CyclePhase, checked_record, scatters

Floats = NDArray[np.float64]
HARMONICS = (1, 3, 5)  # of a stress that is odd in the strain
FEWEST_POINTS = 12  # of a cycle
SURE = 4.0  # errors by which the scatter of cycles exceeds that of white noise
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
    third : ndarray of complex
        Third harmonic of the stress over the size of the first, relative to the phase of the strain.
    third_err : ndarray
        Root of the variances of its two parts.

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
    third: NDArray[np.complex128]
    third_err: Floats


def cycle_moduli(time: ArrayLike, strain: ArrayLike, stress: ArrayLike, phase: CyclePhase) -> CycleModuli:
    """Fit the harmonics of strain and stress in each cycle by least squares, with a level.

    If the levels of the cycles differ by more than their errors, as in creep, each cycle has a slope as well. Where
    cycles scatter by more than white noise lets them, as noise with a correlation does, the errors are of the scatter.

    Parameters
    ----------
    time, strain, stress : array_like, shape (n,)
        Columns of the record; rows with a number that is not finite are left out, and those outside of its cycles.
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
    inside = phase.inside(t)
    at, both = phase.at(t[inside]), np.stack([x, y], axis=1)[inside]
    number, cycles = np.floor(at).astype(int), []
    for begin, end in pairwise([*np.flatnonzero(np.diff(number, prepend=number[:1] - 1)), at.size]):
        turn = 2 * np.pi * at[begin:end]
        if turn.size >= FEWEST_POINTS and np.diff(np.append(turn, turn[0] + 2 * np.pi)).max() <= np.pi / 2:
            cycles.append(_Cycle.fitted(int(number[begin]), turn, both[begin:end]))  # no quarter of it is missing
    levels = [(each.of[0], each.inverse[0, 0] * each.rest) for each in cycles if each.oscillates]
    if not levels:
        raise ValueError(f"no whole cycle of the record has {FEWEST_POINTS} points")
    if any(scatters(*np.transpose([(level[k], var[k]) for level, var in levels])) for k in (0, 1)):
        cycles = [_Cycle.fitted(each.number, each.turn, each.both, has_slope=True) for each in cycles]
    cycles = [each for each in cycles if each.oscillates]
    columns = np.transpose([each.columns() for each in cycles])
    columns[1::2] *= _wider(columns[::2], columns[1::2])[:, None]
    *others, real, real_err, imag, imag_err = columns
    others += [real + 1j * imag, np.hypot(real_err, imag_err)]
    names = [each.name for each in fields(CycleModuli)][1:]
    return CycleModuli(cycle=np.array([each.number for each in cycles]), **dict(zip(names, others, strict=True)))


class _Cycle(NamedTuple):
    """The fit of a cycle: coefficients `of`, (p, 2), and variances `rest` of strain and stress."""

    number: int
    turn: Floats
    both: Floats
    design: Floats
    inverse: Floats
    of: Floats
    rest: Floats

    @classmethod
    def fitted(cls, number: int, turn: Floats, both: Floats, has_slope: bool = False) -> Self:
        terms = [np.ones_like(turn), *(f(k * turn) for k in HARMONICS for f in (np.sin, np.cos))]
        design = np.stack([*terms, (turn - turn.mean()) / np.pi][: len(terms) + has_slope], axis=1)
        inverse = np.linalg.inv(design.T @ design)
        of = inverse @ design.T @ both
        rest = np.square(both - design @ of).sum(0) / (len(turn) - design.shape[1])
        return cls(number, turn, both, design, inverse, of, rest)

    @property
    def oscillates(self) -> bool:
        """Whether the strain is larger than noise."""
        return bool(np.hypot(*self.of[1:3, 0]) > SEEN * np.sqrt(self.inverse[1, 1] * self.rest[0]))

    def columns(self) -> list[float]:
        """Return the columns of `CycleModuli` but the first, with the errors of white noise; two for `third`."""
        of, inverse, n = self.of, self.inverse, 1 + 2 * len(HARMONICS)
        # variances of coefficients; with a slope, those of sines are larger
        var = inverse.diagonal() if len(inverse) > n else np.full(n, inverse[1, 1])
        x, y = var * self.rest[:, None]
        strain, first, third = (complex(*of[[k, k + 1], column]) for k, column in ((1, 0), (1, 1), (3, 1)))
        size = abs(strain)
        modulus = first / strain  # the strain is a sine, but for the error of its phase
        squares = modulus.real**2, modulus.imag**2
        storage_err = float(np.sqrt(y[1] + squares[0] * x[1] + squares[1] * x[2])) / size
        loss_err = float(np.sqrt(y[2] + squares[0] * x[2] + squares[1] * x[1])) / size
        tan_delta = modulus.imag / modulus.real
        curve = np.stack([f(k * FINE) for k in HARMONICS for f in (np.sin, np.cos)], axis=1)
        at = int((curve @ of[1:n, 1]).argmax())
        peak_err = float(np.sqrt(curve[at] @ inverse[1:n, 1:n] @ curve[at] * self.rest[1]))
        third *= (strain.conjugate() / size) ** 3 / abs(first)
        real_err, imag_err = (np.sqrt(y[3:5]) / abs(first)).tolist()
        return [
            size, float(np.sqrt(_along(strain, x[1:3]))),
            modulus.real, storage_err, modulus.imag, loss_err,
            tan_delta, float(np.hypot(loss_err, tan_delta * storage_err)) / abs(modulus.real),
            float(curve[at] @ of[1:n, 1]), peak_err,
            third.real, real_err, third.imag, imag_err,
        ]  # fmt: skip


def _along(x: complex, var: Floats) -> float:
    """Return the variance of the absolute value of a number, from those of its real and imaginary part."""
    return float((x.real**2 * var[0] + x.imag**2 * var[1]) / abs(x) ** 2)


def _wider(values: Floats, errors: Floats) -> Floats:
    """Return by how much correlated noise widens the errors of each column, (7,), or ones, from values (7, n).

    The fit takes slow noise away from its residuals, so the scatter of cycles about their neighbours tells. Half of the
    cycles count (median), so a step of the sample does not.
    """
    n = max(values.shape[1] - 2, 0)
    off = values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2
    squares = np.square(off) / (1.5 * errors[:, 1:-1] ** 2 + 1e-300) / chi2.median(1)
    apart = squares[[0, 1, 2, 5, 6]]  # the others depend on these
    if n < 3 or not np.median(apart) > 1 + SURE * 1.65 / np.sqrt(n):
        return np.ones(len(values))
    return np.asarray(np.sqrt(np.maximum(np.median(squares, axis=1), 1)))
