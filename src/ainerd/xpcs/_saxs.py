"""I(q) of a sample: normalised by monitor and transmission, without the buffer, on an absolute scale."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
WATER_INV_CM = 0.01632  # of water at 20 °C, at small q: Orthaber et al., J. Appl. Cryst. 33, 218 (2000)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A number with its standard error.

    Examples
    --------
    >>> curve = Saxs(q=np.array([0.1]), intensity=np.array([8.0]), error=np.array([0.1]))
    >>> curve = curve.normalised(monitor=Measured(value=2.0, error=0.1), transmission=Measured(value=0.5))
    >>> curve.intensity, curve.scale_error  # 8 / (2 × 0.5), and 0.1 / 2, which all q share
    (array([8.]), 0.05)
    """

    value: float
    error: float = 0.0

    @property
    def relative(self) -> float:
        """Relative error."""
        return self.error / abs(self.value)


ONE = Measured(value=1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Saxs:
    """I(q) of one exposure, or made of several.

    Attributes
    ----------
    q : ndarray, shape (n,)
        In 1/nm.
    intensity, error : ndarray, shape (n,)
        Error that each q has alone, one standard deviation.
    scale_error : float
        Relative error that all q share, of the factor on an absolute scale.
    unit : str

    Examples
    --------
    >>> q, error = np.array([0.1, 0.2]), np.array([0.3, 0.3])
    >>> sample = Saxs(q=q, intensity=np.array([5.0, 2.0]), error=error)
    >>> buffer = Saxs(q=q, intensity=np.array([1.0, 1.0]), error=np.array([0.4, 0.4]))
    >>> curve = sample.without(buffer)
    >>> curve.intensity, curve.error
    (array([4., 1.]), array([0.5, 0.5]))
    """

    q: Floats
    intensity: Floats
    error: Floats
    scale_error: float = 0.0
    unit: str = "photons/pixel/frame"

    @classmethod
    def of_segments(cls, q: ArrayLike, intensity: ArrayLike, segments: ArrayLike) -> "Saxs":
        """Take the error of I(q) (n,) from the scatter of its segments in time, (m, n), of equal length.

        It contains photon noise and changes of the beam and the sample, but not the finite number of speckles of a
        ring, if the sample is static.

        Raises
        ------
        ValueError
            If there are fewer than two segments, or shapes do not fit.
        """
        qs, mean, parts = (np.asarray(x, dtype=float) for x in (q, intensity, segments))
        if not (qs.ndim == 1 and mean.shape == qs.shape and parts.ndim == 2 and parts.shape[1:] == qs.shape):
            raise ValueError(f"q {qs.shape}, I(q) {mean.shape} and its segments {parts.shape} do not fit")
        if len(parts) < 2:
            raise ValueError(
                "I(q) has one segment, and so no error: an exposure of ten whole frames or more has several"
            )
        return cls(q=qs, intensity=mean, error=parts.std(0, ddof=1) / np.sqrt(len(parts)))

    def normalised(self, monitor: Measured = ONE, transmission: Measured = ONE, unit: str = "") -> "Saxs":
        """Divide by the monitor and the transmission; their errors are shared by all q. `unit` is the new unit.

        Raises
        ------
        ValueError
            If the monitor is not positive, or the transmission is not above 0 and at most 1.
        """
        if not monitor.value > 0:
            raise ValueError(f"the monitor must be positive, got {monitor.value:g}")
        if not 0 < transmission.value <= 1:
            raise ValueError(f"the transmission must be above 0 and at most 1, got {transmission.value:g}")
        factor = monitor.value * transmission.value
        shared = float(np.sqrt(self.scale_error**2 + monitor.relative**2 + transmission.relative**2))
        return replace(
            self,
            intensity=self.intensity / factor,
            error=self.error / factor,
            scale_error=shared,
            unit=unit or self.unit,
        )

    def without(self, buffer: "Saxs", share: Measured = ONE) -> "Saxs":
        """Subtract `share` times the I(q) of the buffer, both normalised alike.

        The share is the volume of buffer in the sample, 1 for dilute ones. The errors that all q of sample and buffer
        share do not cancel in the difference: they become part of the error of each q, because their effect depends on
        q.

        Raises
        ------
        ValueError
            If q or units differ.
        """
        if not (self.q.shape == buffer.q.shape and np.allclose(self.q, buffer.q, rtol=1e-4)):
            raise ValueError("sample and buffer have other rings of q: analyse both with the same settings")
        if self.unit != buffer.unit:
            raise ValueError(f"the sample is in {self.unit}, the buffer in {buffer.unit}: normalise both alike")
        taken = share.value * buffer.intensity
        own = self.error**2 + (share.value * buffer.error) ** 2
        shared = (self.scale_error * self.intensity) ** 2 + taken**2 * (buffer.scale_error**2 + share.relative**2)
        return replace(self, intensity=self.intensity - taken, error=np.sqrt(own + shared), scale_error=0.0)

    def scaled(self, factor: Measured, thickness_mm: Measured) -> "Saxs":
        """Put I(q) on the absolute scale in 1/cm with the factor of `absolute_factor`, for a sample of this thickness.

        Raises
        ------
        ValueError
            If the thickness is not positive.
        """
        if not thickness_mm.value > 0:
            raise ValueError(f"the thickness must be positive, got {thickness_mm.value:g}")
        by = factor.value / (thickness_mm.value / 10)
        shared = float(np.sqrt(self.scale_error**2 + factor.relative**2 + thickness_mm.relative**2))
        return replace(self, intensity=self.intensity * by, error=self.error * by, scale_error=shared, unit="1/cm")


def absolute_factor(
    standard: Saxs,
    cross_section_inv_cm: float | tuple[ArrayLike, ArrayLike],
    thickness_mm: Measured,
    q_range_inv_nm: tuple[float, float] = (0.0, np.inf),
) -> Measured:
    """Return the factor from normalised intensity to cross-section times thickness, from a standard.

    Parameters
    ----------
    standard : Saxs
        Normalised, without the empty container.
    cross_section_inv_cm : float or (array_like, array_like)
        Differential cross-section of the standard per volume: one number, such as `WATER_INV_CM`, or q in 1/nm and
        values, which are interpolated.
    thickness_mm : Measured
    q_range_inv_nm : (float, float)
        Where the standard is used.

    Returns
    -------
    Measured
        The weighted mean over q. Its error is that of the mean, from the errors or from the scatter about it if that is
        larger, and what all q of the standard share, and its thickness.

    Raises
    ------
    ValueError
        If no q is in the range, or the standard scatters nothing.

    Examples
    --------
    >>> water = Saxs(q=np.array([0.1, 0.2, 0.3]), intensity=np.full(3, 2.0), error=np.full(3, 0.02))
    >>> round(absolute_factor(water, 0.0164, Measured(value=1.0)).value, 5)
    0.00082
    """
    use = (standard.q >= q_range_inv_nm[0]) & (standard.q <= q_range_inv_nm[1])
    if isinstance(cross_section_inv_cm, tuple):
        q, values = (np.asarray(x, dtype=float) for x in cross_section_inv_cm)
        use &= (standard.q >= q.min()) & (standard.q <= q.max())
        known = np.interp(standard.q, q, values)
    else:
        known = np.full_like(standard.q, cross_section_inv_cm)
    use &= np.isfinite(standard.intensity) & (standard.error > 0) & (known > 0)
    if not use.any():
        raise ValueError("the standard has no I(q) with an error in this range of q")
    if not thickness_mm.value > 0:
        raise ValueError(f"the thickness of the standard must be positive, got {thickness_mm.value:g}")
    expected = known[use] * thickness_mm.value / 10
    weight = (expected / standard.error[use]) ** 2
    measured = standard.intensity[use] / expected  # one over the factor, at each q
    mean = float(np.average(measured, weights=weight))
    if not mean > 0:
        raise ValueError("the standard scatters nothing above its background")
    square = float((weight * (measured - mean) ** 2).sum() / max(use.sum() - 1, 1))
    own = np.sqrt(max(square, 1.0) / weight.sum()) / mean
    relative = float(np.sqrt(own**2 + standard.scale_error**2 + thickness_mm.relative**2))
    return Measured(value=1 / mean, error=relative / mean)
