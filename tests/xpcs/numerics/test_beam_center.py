"""The beam in one frame, against frames whose scattering is drawn around a known place."""

import sys

import numpy as np
import pytest

from ainerd_xpcs.numerics import guess_beam_center
from ainerd_xpcs.numerics._geometry import pyfai_detectors


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


def test_the_detectors_of_pyfai_come_without_its_windows():
    assert hasattr(pyfai_detectors(), "detector_factory")
    assert sys.modules.get("pyFAI.gui.model.GeometryModel", "not imported") is not None  # who wants it can import it
