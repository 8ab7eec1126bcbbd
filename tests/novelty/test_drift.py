"""The drift martingale: few alarms for uniform p-values, early alarms for others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ainerd.novelty import DriftMartingale


def alarms(draw, n=200):
    """Return the share of sessions that end with a verdict."""
    verdicts = []
    for seed in range(n):
        martingale = DriftMartingale()
        for value in draw(np.random.default_rng(seed)):
            martingale.update(value)
        verdicts.append(martingale.verdict == "recalibrate")
    return np.mean(verdicts)


def test_there_are_few_alarms_without_drift():
    assert alarms(lambda rng: rng.uniform(size=150), n=600) <= 0.01
    assert alarms(lambda rng: rng.integers(1, 602, 150) / 601, n=200) <= 0.02  # ranks among 600


@pytest.mark.parametrize(
    "drifted",
    [
        lambda rng: rng.uniform(size=100) ** 2,  # noise larger than was thought
        lambda rng: rng.uniform(size=100) ** 0.5,  # smaller
        lambda rng: np.concatenate([rng.uniform(size=100), rng.uniform(size=80) ** 3]),  # late in the session
    ],
)
def test_drift_raises_an_alarm(drifted):
    assert alarms(drifted) > 0.9


@given(st.lists(st.floats(0, 1, exclude_min=True), max_size=60))
def test_each_bet_is_fair(history):
    """Over a uniform next p-value, the mean of the next capital is the present one: the bets are linear in p."""
    below, above = DriftMartingale(), DriftMartingale()
    for value in history:
        below.update(value)
        above.update(value)
    now = below.capital
    assert (below.update(0.25) + above.update(0.75)) / 2 == pytest.approx(now)
    assert now > 0


def test_the_verdict_stays():
    martingale = DriftMartingale()
    for _ in range(12):
        martingale.update(0.01)
    assert martingale.n == 12 and martingale.verdict
    for value in np.linspace(0.3, 0.7, 50):
        martingale.update(value)
    assert martingale.verdict and martingale.largest >= martingale.level


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, float("nan")])
def test_invalid_p_values_are_refused(p):
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        DriftMartingale().update(p)
