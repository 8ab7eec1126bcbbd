"""Distance and beam centre from simulated rings of silver behenate, whose geometry is known."""

import numpy as np
import pytest

from ainerd.xpcs import SILVER_BEHENATE, RingError, fit_rings

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
