"""The beam in one frame, against frames whose scattering is drawn around a known place."""

import sys

import numpy as np
import pytest

from ainerd_xpcs.numerics import guess_beam_center
from ainerd_xpcs.numerics._geometry import Annulus, _binned, _variance_in_rings, checked_mask, pyfai_detectors


def frame_around(row, column, shape=(120, 160), photons=40.0, seed=0):
    """Rings that fall off from a place, where the center of pixel i is at i + 0.5."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    r = np.hypot(y - row, x - column)
    return np.random.default_rng(seed).poisson(photons * np.exp(-r / 60) * (1.2 + np.cos(r / 9)))


@pytest.mark.parametrize("shape", [(120, 160), (700, 500)])  # the larger one is binned at first
@pytest.mark.parametrize("at", [(0.5, 0.5), (0.3, 0.8), (-0.2, 0.6), (0.7, 1.3)])
def test_the_center_is_guessed_also_beyond_the_edges(shape, at):
    row, column = at[0] * shape[0], at[1] * shape[1]
    center = guess_beam_center(frame_around(row, column, shape))
    assert np.hypot(*np.subtract(center, (row, column))) < (2.0 if 0 < min(at) and max(at) < 1 else 8.0)


def test_unusable_and_nan_pixels_count_nothing():
    frame = frame_around(50.0, 90.0).astype(float)
    bad = np.zeros(frame.shape, bool)
    bad[:, 100:130] = True
    spoilt = np.where(bad, 1e6, frame)
    nan = np.where(bad, np.nan, frame)
    expected = guess_beam_center(np.where(bad, 0, frame), usable=~bad)
    assert guess_beam_center(spoilt, usable=~bad) == guess_beam_center(nan) == expected
    assert np.hypot(*np.subtract(expected, (50, 90))) < 2
    assert np.hypot(*np.subtract(guess_beam_center(spoilt), (50, 90))) > 5


def test_without_scattering_there_is_no_guess():
    frame = frame_around(50.0, 90.0)
    few = np.zeros(frame.shape, bool)
    few[0, :99] = True
    for given in ((np.full((20, 20), 3.0), None), (frame, few), (np.full((20, 20), np.nan), None)):
        with pytest.raises(ValueError, match="shows no scattering"):
            guess_beam_center(*given)
    few[1, 0] = True
    guess_beam_center(frame, few)


def test_pixels_are_averaged_over_squares_of_which_half_is_usable():
    root, good = np.arange(35.0).reshape(5, 7), np.ones((5, 7), bool)
    good[0, :2], good[2, 2:4], good[3, 2] = False, False, False  # half of one square, three quarters of another
    values, rows, columns = _binned(root, good, 2)
    expected = {  # of the squares of 2 x 2; the last row and the last column are left over
        (1, 3): (2 + 3 + 9 + 10) / 4, (1, 5): (4 + 5 + 11 + 12) / 4, (3, 1): (14 + 15 + 21 + 22) / 4,
        (3, 5): (18 + 19 + 25 + 26) / 4,
    }  # fmt: skip
    assert dict(zip(zip(rows, columns, strict=True), values, strict=True)) == expected
    good[0, 1] = True
    values, rows, columns = _binned(root, good, 2)
    assert (rows[0], columns[0], values[0]) == (1, 1, pytest.approx((1 + 7 + 8) / 3))
    assert len(_binned(np.ones((200, 200)), np.ones((200, 200), bool), 1)[0]) == 24_000


def test_the_variance_is_that_within_rings():
    values, rows = np.array([1.0, 3.0, 10.0, 14.0, 12.0, 99.0]), np.array([0.0, 1.9, 2.1, -3.0, 2.5, 40.0])
    within = 2 + 8  # about 2 of the first two, and about 12 of the next three
    assert _variance_in_rings(values, rows, np.zeros(6), 2.0) == pytest.approx(within / (6 - 3))
    assert _variance_in_rings(values[:1], rows[:1], np.zeros(1), 2.0) == 0


def test_rings_and_sectors_have_their_middles():
    about = {"beam_center_px": (50.0, 60.0), "distance_m": 5.0, "energy_keV": 10.0}
    annulus = Annulus(
        detector="Eiger500k", q_range_inv_nm=[0.1, 0.2, 0.4], n_phi=4, phi_range_deg=(-40, 40), n_static=2, **about
    )
    q, phi, fine = annulus.centers()
    assert q == pytest.approx([0.15] * 4 + [0.3] * 4) and phi == pytest.approx([330, 350, 10, 30] * 2)
    assert fine == pytest.approx([0.125, 0.175, 0.25, 0.35])
    rows, columns = annulus.from_beam()
    assert (rows[0, 0], columns[0, 0]) == (-49.5, -59.5)
    radius = np.hypot(0.5 - 50, 0.5 - 60) * 75e-6  # m
    assert annulus.q()[0, 0] == pytest.approx(4 * np.pi / 0.1239842 * np.sin(np.arctan(radius / 5) / 2), rel=1e-6)


def test_a_mask_that_covers_most_pixels_and_most_bins_is_taken_as_inverted():
    inside = np.zeros((4, 6), bool)
    inside[:2] = True
    half = np.zeros((4, 6), int)
    half[:, :3] = 1
    assert checked_mask(half, inside).dtype == bool
    half[2, 3] = 1  # more than half of the detector, and half of the bins
    assert checked_mask(half, inside).sum() == 13
    half[0, 3] = 1
    with pytest.raises(ValueError, match=r"takes away 58\.3% of the detector and 58\.3% of the pixels"):
        checked_mask(half, inside)
    with pytest.raises(ValueError, match="it is transposed"):
        checked_mask(half.T, inside)
    with pytest.raises(ValueError, match=r"has shape \(2, 2\), the detector has \(4, 6\)$"):
        checked_mask(np.ones((2, 2)), inside)
    with pytest.raises(ValueError, match="booleans, or of 0 and 1, got float64"):
        checked_mask(half.astype(float), inside)


def test_the_detectors_of_pyfai_come_without_its_windows():
    assert hasattr(pyfai_detectors(), "detector_factory")
    assert sys.modules.get("pyFAI.gui.model.GeometryModel", "not imported") is not None  # who wants it can import it
