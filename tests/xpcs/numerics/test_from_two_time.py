import numpy as np
import pytest

from ainerd_xpcs.numerics import MultiTau, g2_by_age, g2_from_two_time
from tests.weighted import full_map


def test_the_mean_along_the_diagonals_is_g2_of_many_photons(frames, partition):
    valid = np.ones(60, bool)
    valid[[3, 20, 21]] = False
    bright = frames.astype(float) * 1e9  # all pairs of frames have the same weight
    full = full_map(bright, partition, valid)
    live = MultiTau(partition)
    live.push(bright, valid)
    g2 = g2_from_two_time(full)
    assert np.abs(g2[:, :15] - live.result().value[:, :15]).max() < 1e-5
    assert np.array_equal(g2_from_two_time(full[2]), g2[2])


def test_g2_by_age_follows_the_age():
    n = 60
    t = np.arange(n) + 0.5
    age, lag = (t[:, None] + t) / 2, np.abs(t[:, None] - t)
    relaxation = 5 + age / 3
    ages, values = g2_by_age(1 + 0.2 * np.exp(-lag / relaxation), np.linspace(0, n, 7))
    assert np.array_equal(ages, [5, 15, 25, 35, 45, 55])
    assert values.shape == (6, 59)
    for a, row in zip(ages, values, strict=True):
        longest = max(int(2 * min(a - 5, n - a - 5)), 1)  # up to which lag the strip is complete
        lags = np.arange(1, longest)
        assert np.allclose(row[: longest - 1], 1 + 0.2 * np.exp(-lags / (5 + a / 3)), atol=3e-3)
    assert np.isnan(values[0, 25:]).all() and np.isfinite(values[2, :49]).all()


@pytest.mark.parametrize(
    ("shape", "edges", "message"),
    [((3, 4), [0, 3], "n, n"), ((1, 1), [0, 1], "n > 1"), ((2, 5, 5), [0, 5, 4], "increase")],
)
def test_arrays_that_are_not_maps_are_refused(shape, edges, message):
    with pytest.raises(ValueError, match=message):
        g2_by_age(np.ones(shape), edges)
