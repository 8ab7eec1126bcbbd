"""Distance and beam centre from the rings of a standard, such as silver behenate, in a mean frame."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import c, e, h
from scipy.optimize import OptimizeWarning, curve_fit, least_squares

Floats = NDArray[np.float64]
# Period in nm with its error: T. C. Huang et al., J. Appl. Cryst. 26, 180 (1993).
SILVER_BEHENATE = (5.8380, 0.0003)
SEARCH = 0.2  # share of the distance and of the radius by which the start may be wrong
SECTORS = 36
FEWEST = 12  # sectors of all rings together
REFUSED = 4.0  # scatters from the fitted circles beyond which a sector does not count
ROUNDS = 8


class RingError(ValueError):
    """Raised if the rings of the standard are not found.

    Examples
    --------
    >>> standard = {"q_inv_nm": [1.0762], "q_relative_err": 5e-5}
    >>> guess = {"pixel_m": 75e-6, "energy_keV": 12.0, "distance_m": 0.5, "beam_center_px": (150, 150)}
    >>> fit_rings(np.ones((300, 300)), **standard, **guess)
    Traceback (most recent call last):
        ...
    ainerd.xpcs._calibrant.RingError: the rings of the standard show in 0 sectors, 12 are needed: ...
    """


@dataclass(frozen=True, kw_only=True)
class Rings:
    """A detector that fits the rings of a standard.

    Attributes
    ----------
    distance_m, distance_m_err : float
        The error is that of the fit, from the scatter of the sectors, and of the standard.
    beam_center_px, beam_center_px_err : (float, float)
        Row and column.
    q_err : float
        Relative error of q, the same at all small angles.
    order : ndarray of int, shape (n,)
        Ring of each sector that was used, from 1.
    phi : ndarray, shape (n,)
        Azimuth of each in degrees.
    radius_px, off_px : ndarray, shape (n,)
        Radius of each, and its distance from the fitted circle.
    oval_px, oval_px_err : float
        Amplitude of the second harmonic of `off_px`; a detector that is not normal to the beam makes circles oval.

    Examples
    --------
    >>> standard = {"q_inv_nm": [1.0762], "q_relative_err": 5e-5, "pixel_m": 75e-6, "energy_keV": 12.0}
    >>> rings = fit_rings(silver, **standard, distance_m=0.46, beam_center_px=(148, 153))
    >>> round(rings.distance_m, 3), np.abs(rings.off_px).max() < 0.1
    (0.5, np.True_)
    """

    distance_m: float
    distance_m_err: float
    beam_center_px: tuple[float, float]
    beam_center_px_err: tuple[float, float]
    q_err: float
    order: NDArray[np.int64]
    phi: Floats
    radius_px: Floats
    off_px: Floats
    oval_px: float
    oval_px_err: float


class _Point(NamedTuple):
    order: int
    row: float
    column: float
    error: float


def fit_rings(
    image: ArrayLike,
    *,
    q_inv_nm: Sequence[float],
    q_relative_err: float,
    pixel_m: float,
    energy_keV: float,
    distance_m: float,
    beam_center_px: tuple[float, float],
) -> Rings:
    """Fit distance and beam centre to the rings of a standard.

    The distance may be wrong by 20 % at first, and the centre by about a tenth of the radius of the first ring on the
    detector. In 36 sectors around the centre a Gaussian on a slope is fitted to each ring, and to the places of all of
    them circles with one centre, whose radii are those of the scattering angles; a few rounds of both. The detector is
    taken as normal to the beam.

    Parameters
    ----------
    image : array_like, shape (ny, nx)
        Mean frame; NaN at pixels that are not to be used.
    q_inv_nm : sequence of float
        Rings of the standard, in ascending order; those beyond the detector do not matter.
    q_relative_err : float
        Relative error of these.
    pixel_m, energy_keV : float
    distance_m, beam_center_px : float, (float, float)
        Where to start.

    Raises
    ------
    RingError
        If a number makes no sense, no ring is on the detector, or too few sectors show one.

    Examples
    --------
    >>> standard = {"q_inv_nm": [1.0762], "q_relative_err": 5e-5, "pixel_m": 75e-6, "energy_keV": 12.0}
    >>> rings = fit_rings(silver, **standard, distance_m=0.46, beam_center_px=(148, 153))
    >>> np.round([rings.distance_m, *rings.beam_center_px], 3)
    array([  0.5  , 150.498, 150.503])
    """
    frame = np.asarray(image, dtype=float)
    if frame.ndim != 2 or not np.isfinite(frame).any():
        raise RingError(f"the mean frame must be an image with numbers, got shape {frame.shape}")
    if not (pixel_m > 0 and energy_keV > 0 and distance_m > 0 and len(q_inv_nm) and min(q_inv_nm) > 0):
        raise RingError("pixel, energy, distance and the rings of the standard must be positive")
    angles = 2 * np.arcsin(np.clip(np.asarray(q_inv_nm) * h * c / (e * energy_keV * 1e3) * 1e9 / (4 * np.pi), 0, 0.7))
    tangent = np.tan(angles) / pixel_m  # radius in pixels of a ring at 1 m
    place = np.array([*beam_center_px, distance_m], dtype=float)
    place[2] = _coarse(frame, place, tangent)
    spread = 0.5 * SEARCH
    for _ in range(ROUNDS):
        points = list(_points(frame, place, tangent, spread))
        if len(points) < FEWEST:
            raise RingError(
                f"the rings of the standard show in {len(points)} sectors, {FEWEST} are needed: give a mean frame of "
                "the standard, and a beam centre and a distance near the true ones"
            )
        before, (place, covariance, points) = place, _circles(points, place, tangent)
        spread = max(0.5 * spread, 0.02)
        if np.abs(place - before)[:2].max() < 1e-3 and spread == 0.02:
            break
    orders = np.array([each.order for each in points])
    rows, columns = (np.array([each[k] for each in points]) for k in (1, 2))
    off = np.hypot(rows - place[0], columns - place[1]) - place[2] * tangent[orders]
    phi = np.arctan2(rows - place[0], columns - place[1])
    oval, oval_err = _second_harmonic(phi, off)
    error = np.sqrt(np.diag(covariance))
    relative = float(np.hypot(error[2] / place[2], q_relative_err))
    return Rings(
        distance_m=float(place[2]), distance_m_err=relative * float(place[2]),
        beam_center_px=(float(place[0]), float(place[1])), beam_center_px_err=(float(error[0]), float(error[1])),
        q_err=relative, order=orders + 1, phi=np.rad2deg(phi) % 360, radius_px=place[2] * tangent[orders] + off,
        off_px=off, oval_px=oval, oval_px_err=oval_err,
    )  # fmt: skip


def _radii(frame: Floats, place: Floats) -> tuple[Floats, Floats]:
    """Return the distance from the centre and the azimuth of each pixel, (ny, nx)."""
    rows = (np.arange(frame.shape[0]) + 0.5 - place[0])[:, None]
    columns = (np.arange(frame.shape[1]) + 0.5 - place[1])[None]
    return np.hypot(rows, columns), np.arctan2(rows, columns) % (2 * np.pi)


def _profile(radius: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean radius, mean value and number of pixels in rings of one pixel."""
    ring = radius.astype(int)
    n = np.bincount(ring)
    some = n > 0
    sums = [np.bincount(ring, x)[some] / n[some] for x in (radius, values)]
    return sums[0], sums[1], n[some].astype(float)


def _coarse(frame: Floats, place: Floats, tangent: Floats) -> float:
    """Return the distance near the given one at which the rings are brightest, over what is beside them."""
    radius, _ = _radii(frame, place)
    seen = np.isfinite(frame)
    r, mean, _ = _profile(radius[seen], frame[seen])
    if not ((tangent * place[2] > r[0]) & (tangent * place[2] * (1 - SEARCH) < r[-1])).any():
        raise RingError(
            f"no ring of the standard is on the detector: the first has a radius of {tangent[0] * place[2]:.0f} px, "
            f"the pixels are {r[0]:.0f} to {r[-1]:.0f} away from the beam"
        )
    log = np.log(np.maximum(mean, mean[mean > 0].min(initial=1.0)))
    best, found = -np.inf, float(place[2])
    for distance in place[2] * np.geomspace(1 - SEARCH, 1 / (1 - SEARCH), 400):
        at = tangent * distance
        at = at[(at * 1.1 < r[-1]) & (at * 0.9 > r[0])]
        if at.size:
            rings, beside = np.interp(at, r, log), [np.interp(at * x, r, log) for x in (0.92, 1.08)]
            score = float(np.mean(rings - np.mean(beside, 0)))
            if score > best:
                best, found = score, float(distance)
    return found


def _points(frame: Floats, place: Floats, tangent: Floats, spread: float) -> Iterator[_Point]:
    """Yield where each ring is brightest in each sector, if it shows."""
    radius, phi = _radii(frame, place)
    sector = (phi / (2 * np.pi) * SECTORS).astype(int)
    seen = np.isfinite(frame)
    expected = tangent * place[2]
    for order, at in enumerate(expected):
        width = max(spread * at, 6.0)
        if order + 1 < len(expected):
            width = min(width, 0.45 * (expected[order + 1] - at))
        if order:
            width = min(width, 0.45 * (at - expected[order - 1]))
        near = seen & (np.abs(radius - at) < width)
        for k in range(SECTORS if near.any() else 0):
            inside = near & (sector == k)
            found = _peak(*_profile(radius[inside], frame[inside])) if inside.sum() > 30 else None
            if found is not None:
                r, error = found
                angle = float(np.arctan2(np.sin(phi[inside]).mean(), np.cos(phi[inside]).mean()))
                yield _Point(order, place[0] + r * np.sin(angle), place[1] + r * np.cos(angle), error)


def _peak(r: Floats, mean: Floats, n: Floats) -> tuple[float, float] | None:
    """Return the place of a Gaussian on a slope and its error; None if there is none that is sure and inside."""
    if r.size < 8:
        return None
    top = int(np.argmax(mean - np.interp(r, r[[0, -1]], mean[[0, -1]])))
    start = [max(mean[top] - np.median(mean), 1e-12), r[top], max(np.ptp(r) / 8, 1.0), float(np.median(mean)), 0.0]
    middle = r.mean()

    def model(x: Floats, height: float, place: float, width: float, base: float, slope: float) -> Floats:
        return np.asarray(height * np.exp(-((x - place) ** 2) / (2 * width**2)) + base + slope * (x - middle))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)  # no covariance: there is no peak
            best, covariance = curve_fit(model, r, mean, start, sigma=1 / np.sqrt(n), maxfev=400)
    except (RuntimeError, OptimizeWarning):
        return None
    error = np.sqrt(np.diag(covariance))
    sure = best[0] > 4 * error[0] and error[1] < 0.2 * np.ptp(r) and r[0] < best[1] < r[-1]
    return (float(best[1]), float(error[1])) if sure and abs(best[2]) < 0.6 * np.ptp(r) else None


def _circles(points: list[_Point], place: Floats, tangent: Floats) -> tuple[Floats, Floats, list[_Point]]:
    """Fit circles with one centre and one distance; return them, their covariance, and the points that count."""
    for _ in range(2):
        order = np.array([each.order for each in points])
        row, column, error = (np.array([each[k] for each in points]) for k in (1, 2, 3))
        floor = np.hypot(error, 0.02)

        def off(x: Floats, row: Any = row, column: Any = column, order: Any = order, floor: Any = floor) -> Floats:
            return np.asarray((np.hypot(row - x[0], column - x[1]) - x[2] * tangent[order]) / floor)

        fit = least_squares(off, place, loss="soft_l1", x_scale=(1, 1, 1 / tangent[order].mean()))
        place, residual = fit.x, off(fit.x)
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-9)
        kept = np.abs(residual) < REFUSED * scale
        if kept.all() or kept.sum() < FEWEST:
            break
        points = [each for each, good in zip(points, kept, strict=True) if good]
    jacobian = fit.jac
    variance = float((residual**2).sum() / max(len(points) - 3, 1))
    return place, np.linalg.pinv(jacobian.T @ jacobian) * max(variance, 1.0), points


def _second_harmonic(phi: Floats, off: Floats) -> tuple[float, float]:
    """Return the amplitude of cos 2φ and sin 2φ together, and its error."""
    design = np.stack([np.cos(2 * phi), np.sin(2 * phi)], axis=1)
    best, *_ = np.linalg.lstsq(design, off, rcond=None)
    rest = off - design @ best
    variance = float((rest**2).sum() / max(len(off) - 5, 1))
    error = np.sqrt(variance * np.trace(np.linalg.pinv(design.T @ design)) / 2)
    return float(np.hypot(*best)), float(error)
