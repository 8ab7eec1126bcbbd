import numpy as np
import pytest
from scipy.ndimage import label

from ainerd.dynamics import HELD_OUT, KNOWN, clock, reduced_g1_squared
from sim_devices import HiddenSample

SEEDS = range(12)


def places(sample, n=40):
    """One position deep inside each region, in mm."""
    names = sample.regime_map(n)
    found = {}
    for name in sample.regions:
        inside = names == name
        core = inside & np.all([np.roll(inside, shift, axis) for axis in (0, 1) for shift in (-1, 1)], axis=0)
        row, column = np.argwhere(core)[len(np.argwhere(core)) // 2]
        found[name] = ((column + 0.5) * 10 / n, (row + 0.5) * 10 / n)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_every_region_is_there_and_large_enough_to_be_found(seed):
    names = HiddenSample(seed=seed).regime_map(100)
    area = {name: np.mean(names == name) * 100 for name in HiddenSample.regions}
    assert area["ageing"] > 35
    assert min(area[name] for name in ("arrested", "avalanche", "fluid")) > 8
    _, count = label(names == "flow")
    assert count in (1, 2)
    assert count * np.pi * 0.85**2 < area["flow"] < count * np.pi * 1.25**2


def test_novel_region_is_held_out_and_the_others_are_known():
    assert set(HiddenSample.regions) & HELD_OUT == {"flow"}
    assert set(HiddenSample.regions) - HELD_OUT <= set(KNOWN)


def test_same_seed_same_sample():
    assert np.array_equal(HiddenSample(seed=4).regime_map(50), HiddenSample(seed=4).regime_map(50))
    assert not np.array_equal(HiddenSample(seed=4).regime_map(50), HiddenSample(seed=5).regime_map(50))


def test_map_and_point_agree_and_dynamics_have_the_region_s_family():
    sample, rng = HiddenSample(seed=3), np.random.default_rng(0)
    names = sample.regime_map(10)
    for row in range(10):
        for column in range(10):
            x, y = column + 0.5, row + 0.5
            assert sample.regime(x, y) == names[row, column]
            assert sample.dynamics(x, y, 100, 50, rng).family == names[row, column]


@pytest.mark.parametrize("x, y", [(-0.1, 5), (5, 10.1), (float("nan"), 5)])
def test_off_the_sample(x, y):
    with pytest.raises(ValueError, match="off the sample"):
        HiddenSample().regime(x, y)


def test_parameters_are_physical_and_vary_smoothly_by_a_quarter():
    sample, rng = HiddenSample(seed=3), np.random.default_rng(0)
    xs = np.linspace(0, 10, 60)
    tau = {name: [] for name in sample.regions}
    for x in xs:
        for y in xs:
            drawn = sample.dynamics(x, y, 0, 50, rng)
            tau[drawn.family].append(drawn.tau_s)
    for values in tau.values():
        assert max(values) / min(values) < 1.25 / 0.75 + 1e-9
    assert max(max(values) / min(values) for values in tau.values()) > 1.3
    x, y = places(sample)["fluid"]
    near, same = (sample.dynamics(x + step, y, 0, 50, rng).tau_s for step in (0.05, 0))
    assert 0 < abs(near - same) < 0.02 * same
    assert sample.dynamics(x, y, 0, 5, rng).tau_s == same  # seconds, whatever the exposure


def test_avalanches_come_at_a_rate():
    sample, rng = HiddenSample(seed=3), np.random.default_rng(0)
    x, y = places(sample)["avalanche"]
    counts = np.array([[len(sample.dynamics(x, y, 0, t, rng).events) for t in (50, 200)] for _ in range(300)])
    assert counts[:, 0].min() >= 1  # 50 s without one would look arrested
    assert counts[:, 1].mean() / counts[:, 0].mean() == pytest.approx(4, rel=0.1)


def test_flow_shows_five_to_eight_fringes_in_fifty_seconds():
    for seed in SEEDS:
        sample = HiddenSample(seed=seed)
        drawn = sample.dynamics(*places(sample)["flow"], 0, 50, np.random.default_rng(0))
        assert drawn.is_heterodyne and drawn.flow_deg == 90
        assert 5 <= drawn.flow_rad_s * 50 / (2 * np.pi) <= 8


def test_regimes_are_further_apart_than_their_own_spread():
    """Nearest centroid over 12 exposures of each regime, taken at other places and ages than the centroids."""
    maps = {name: [[], []] for name in HiddenSample.regions}
    for seed in range(24):
        sample, rng = HiddenSample(seed=seed), np.random.default_rng(seed)
        for name, (x, y) in places(sample).items():
            drawn = sample.dynamics(x, y, rng.uniform(0, 900), 50, rng)
            # Time-translation aside: the sorted values at three lags, along the flow and across it.
            seen = reduced_g1_squared(drawn, 50, 48, (90, 0))
            features = [np.sort(np.diagonal(m, lag)) for m in seen for lag in (2, 6, 24)]
            maps[name][seed % 2].append(np.concatenate(features))
    centre = {name: np.mean(halves[0], axis=0) for name, halves in maps.items()}
    right = [
        name == min(centre, key=lambda other: np.linalg.norm(features - centre[other]))
        for name, halves in maps.items()
        for features in halves[1]
    ]
    assert sum(right) >= len(right) - 2  # an exposure with one late avalanche looks like ageing, and should


def test_matrix_ages_within_an_exposure_and_only_gently_between_them():
    sample, rng = HiddenSample(seed=3), np.random.default_rng(0)
    x, y = places(sample)["ageing"]

    def relaxation(age, t):
        s = clock(sample.dynamics(x, y, age, 50, rng), np.array([t, t + 0.1]))
        return 0.1 / (s[1] - s[0])

    assert relaxation(0, 45) > 4 * relaxation(0, 0)
    assert 1.5 < relaxation(900, 0) / relaxation(0, 0) < 3
