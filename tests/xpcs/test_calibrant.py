"""Distance and beam centre from simulated rings of silver behenate, whose geometry is known."""

import numpy as np
import pytest

from ainerd.xpcs import SILVER_BEHENATE, RingError, fit_rings
from ainerd.xpcs._calibrant import _circles, _coarse, _peak, _Point, _profile, _radii, _second_harmonic

PERIOD, ERROR = SILVER_BEHENATE
Q = [2 * np.pi * n / PERIOD for n in range(1, 12)]
PIXEL_M, ENERGY_KEV, SHAPE = 75e-6, 11.0, (300, 300)
KNOWN = {"q_inv_nm": Q, "q_relative_err": ERROR / PERIOD, "pixel_m": PIXEL_M, "energy_keV": ENERGY_KEV}


def standard(center, distance_m, seed=0, stretch=1.0, contrast=20.0):
    """A mean frame of 20, by the formula of scattering; `stretch` makes rings oval along the rows."""
    row, column = np.indices(SHAPE) + 0.5
    radius = np.hypot((row - center[0]) / stretch, column - center[1]) * PIXEL_M
    q = 4 * np.pi * ENERGY_KEV / 1.23984198 * np.sin(np.arctan(radius / distance_m) / 2)
    mean = 2 + 30 * np.exp(-q)
    for n in range(1, 12):
        mean = mean + contrast / n * np.exp(-((q - Q[n - 1]) ** 2) / (2 * 0.03**2))
    return np.random.default_rng(seed).poisson(20 * mean) / 20


@pytest.mark.parametrize(
    ("center", "distance_m", "start"),
    [
        ((150.3, 140.7), 0.3, ((154.0, 137.0), 0.34)),  # the whole first ring
        ((12.0, 20.0), 0.35, ((16.0, 17.0), 0.3)),  # a corner
        ((-40.0, 150.0), 0.45, ((-36.0, 154.0), 0.42)),  # the beam is off the detector
    ],
)
def test_the_geometry_is_found_within_its_errors(center, distance_m, start):
    pulls = []
    for seed in range(5):
        found = fit_rings(standard(center, distance_m, seed), beam_center_px=start[0], distance_m=start[1], **KNOWN)
        off = np.array([*found.beam_center_px, found.distance_m]) - [*center, distance_m]
        pulls.append(off / [*found.beam_center_px_err, found.distance_m_err])
        assert max(found.beam_center_px_err) < 0.3 and found.q_err < 1e-3
    assert np.std(pulls) < 1.6 and np.abs(np.mean(pulls, axis=0)).max() < 1.5


def test_masked_pixels_and_a_wrong_sector_do_not_count():
    image = standard((150.3, 140.7), 0.3)
    image[140:152] = np.nan
    image[60:75, 130:150] += 40  # parasitic scattering
    found = fit_rings(image, beam_center_px=(153.0, 139.0), distance_m=0.32, **KNOWN)
    assert found.beam_center_px == pytest.approx((150.3, 140.7), abs=0.25)
    assert found.distance_m == pytest.approx(0.3, rel=2e-3)


def test_an_oval_ring_is_noticed():
    round_one, oval = (
        fit_rings(standard((150, 150), 0.3, stretch=x), beam_center_px=(150, 150), distance_m=0.3, **KNOWN)
        for x in (1.0, 1.02)
    )
    assert oval.oval_px > 10 * oval.oval_px_err and round_one.oval_px < 4 * round_one.oval_px_err
    # half of 2 % of the radius
    assert oval.oval_px == pytest.approx(0.01 * oval.radius_px.mean(), rel=0.2)


def test_the_error_of_the_standard_is_part_of_that_of_the_distance():
    image, start = standard((150, 150), 0.3), {"beam_center_px": (150, 150), "distance_m": 0.3}
    found = fit_rings(image, **start, **KNOWN | {"q_relative_err": 0.01})
    assert found.q_err == pytest.approx(0.01, rel=0.01) and found.distance_m_err == pytest.approx(0.003, rel=0.02)


@pytest.mark.parametrize(
    ("image", "change", "why"),
    [
        (standard((150, 150), 0.3), {"distance_m": 5.0}, "no ring of the standard is on the detector"),
        (standard((150, 150), 0.3, contrast=0.0), {}, "the rings of the standard show in"),
        (np.full(SHAPE, np.nan), {}, "the mean frame must be an image"),
        (standard((150, 150), 0.3), {"distance_m": -1.0}, "must be positive"),
    ],
)
def test_what_is_no_standard_is_refused(image, change, why):
    with pytest.raises(RingError, match=why):
        fit_rings(image, **KNOWN | {"beam_center_px": (150.0, 150.0), "distance_m": 0.3} | change)


def test_a_peak_on_a_slope_is_found_with_its_error():
    rng, r, n = np.random.default_rng(0), np.arange(40.0) + 20.3, np.linspace(20, 60, 40)
    clean = 5 * np.exp(-((r - 41.7) ** 2) / (2 * 3.0**2)) + 2 + 0.05 * r
    place, _ = _peak(r, clean, n)
    assert place == pytest.approx(41.7, abs=1e-4)
    pulls = []
    for _ in range(60):
        found, error = _peak(r, clean + rng.normal(0, 2 / np.sqrt(n)), n)
        pulls.append((found - 41.7) / error)
    assert 0.75 < np.std(pulls) < 1.3 and abs(np.mean(pulls)) < 0.5
    assert _peak(r[:7], clean[:7], n[:7]) is None and _peak(r, 2 + 0.05 * r + rng.normal(0, 0.3, 40), n) is None
    assert _peak(r, 5 * np.exp(-((r - 70.0) ** 2) / 40) + 2.0, n) is None  # its top lies outside


def test_a_profile_has_the_mean_of_each_ring():
    radius, values = np.array([0.2, 0.8, 2.5, 2.9, 2.6]), np.array([1.0, 3.0, 6.0, 8.0, 1.0])
    found = _profile(radius, values)
    assert [each.tolist() for each in found] == [[0.5, pytest.approx(8 / 3)], [2, 5], [2, 3]]
    rows, phi = _radii(np.zeros((4, 6)), np.array([1.5, 2.5, 1.0]))
    assert (rows[1, 2], rows[3, 5]) == (0, np.hypot(2, 3)) and phi[3, 2] == pytest.approx(np.pi / 2)


def test_circles_of_several_rings_have_one_centre_and_points_far_off_do_not_count():
    tangent, truth, rng = np.array([100.0, 210.0]), np.array([31.0, -12.0, 0.8]), np.random.default_rng(1)
    points = []
    for order in (0, 1):
        for phi in np.linspace(0, 4, 20):
            r = truth[2] * tangent[order] + rng.normal(0, 0.1)
            points.append(_Point(order, truth[0] + r * np.sin(phi), truth[1] + r * np.cos(phi), 0.1))
    wrong = _Point(1, truth[0] + 180.0, truth[1], 0.1)
    place, covariance, kept = _circles([*points, wrong], truth + [2.0, -2.0, 0.05], tangent)
    assert wrong not in kept and len(kept) >= 38
    pulls = (place - truth) / np.sqrt(np.diag(covariance))
    assert np.abs(pulls).max() < 3.5
    design = []  # by hand: the radius grows towards a point, and with the distance
    for each in kept:
        away = np.array([each.row - truth[0], each.column - truth[1]])
        design.append([*(-away / np.linalg.norm(away)), -tangent[each.order]])
    design = np.array(design) / np.hypot(0.1, 0.02)
    assert np.diag(covariance) == pytest.approx(np.diag(np.linalg.inv(design.T @ design)), rel=0.6)


def test_an_oval_is_the_second_harmonic():
    phi = np.linspace(0, 2 * np.pi, 41)[:-1]
    size, error = _second_harmonic(phi, 0.3 * np.cos(2 * (phi - 0.4)) + 0.05 * np.cos(5 * phi))
    assert size == pytest.approx(0.3) and error == pytest.approx(np.sqrt(40 * 0.05**2 / 2 / 35 * (2 / 20) / 2))


def test_the_distance_is_begun_where_the_rings_are_brighter_than_beside_them():
    tangent, place = np.array([200.0, 420.0]), np.array([0.0, 0.0, 0.55])
    row, column = np.indices((260, 260)) + 0.5
    radius = np.hypot(row, column)
    frame = (
        10 * np.exp(-radius / 400)
        + 50 * np.exp(-((radius - 0.5 * 200) ** 2) / 50)
        + 30 * np.exp(-((radius - 210) ** 2) / 50)
    )
    assert _coarse(frame, place, tangent) == pytest.approx(0.5, rel=0.01)
    with pytest.raises(RingError, match="the first has a radius of 1000 px, the pixels are 1 to 367 away"):
        _coarse(frame, np.array([0.0, 0.0, 5.0]), tangent)
