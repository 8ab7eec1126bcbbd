"""The named samples: the place of each regime, and the variables that change it."""

import numpy as np
import pytest

from ainerd_xpcs.dynamics import FAMILIES, HELD_OUT, KNOWN
from sim_devices import SAMPLES, Yielding, hidden_sample

SEEDS = range(4)
MOVED = ("particles", "blocks", "flow_field")  # scatterer by scatterer
EVENTS = Yielding(2).between(300, 350)


def drawn_at(sample, x, y, age_s=300.0, duration_s=50.0, **known):
    return sample.dynamics(x, y, age_s, duration_s, np.random.default_rng(0), **known)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample(name, seed):
    """The map holds the regimes that the sample names, agrees with single points, and comes from the seed."""
    sample = hidden_sample(name, seed)
    names = sample.regime_map(40)
    assert set(names.ravel()) == set(sample.regions)
    assert sample.unknown == (set(sample.regions) & {"swinging"} if name in MOVED else set(sample.regions) & HELD_OUT)
    assert name in MOVED or set(sample.regions) <= set(FAMILIES)
    assert np.array_equal(names, hidden_sample(name, seed).regime_map(40))
    for row, column in np.random.default_rng(seed).integers(40, size=(20, 2)):
        x, y = (column + 0.5) / 4, (row + 0.5) / 4
        assert sample.regime(x, y) == names[row, column]
        assert drawn_at(sample, x, y, events=EVENTS).family == names[row, column]
    for x, y in ((0, 0), (0, 10), (10, 0), (10, 10)):
        assert sample.regime(x, y) in sample.regions


@pytest.mark.parametrize("seed", SEEDS)
def test_gradient_has_no_border_in_the_relaxation_time(seed):
    sample = hidden_sample("gradient", seed)
    middle = (np.arange(60) + 0.5) / 6
    tau = np.array([[drawn_at(sample, x, y, age_s=0).tau_s for x in middle] for y in middle])
    assert 100 < tau.max() / tau.min() < 400
    steps = np.concatenate([np.abs(np.diff(np.log(tau), axis=axis)).ravel() for axis in (0, 1)])
    assert steps.max() < 0.15  # the 200-fold on the straight way takes 60 steps of 0.09
    slow = sample.regime_map(60) == "slow"
    assert 0.2 < slow.mean() < 0.7 and tau[slow].min() > 5 > tau[~slow].min()


def test_null_has_one_known_regime():
    met = {hidden_sample("null", seed).regions for seed in range(30)}
    assert all(len(regions) == 1 for regions in met)
    assert {name for (name,) in met} <= set(KNOWN) and len(met) > 5
