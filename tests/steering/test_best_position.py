import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from tests.explorer import Explorer

BOUNDS = {"x": (0.0, 10.0), "y": (-5.0, 5.0)}


def place(suggestion):
    return np.array([suggestion["x"], suggestion["y"]])


@pytest.mark.parametrize("dose_limit", [1, 2, 3])
@settings(max_examples=2, deadline=None, phases=[Phase.generate])  # a failure is clear enough without shrinking
@given(beam_size=st.floats(3.0, 7.0), seed=st.integers(0, 99))
def test_no_spot_gets_more_than_the_dose_limit(dose_limit, beam_size, seed):
    explorer = Explorer(BOUNDS, dose_limit=dose_limit, beam_size=beam_size, smallest_feature=4.0)
    rng, taken = np.random.default_rng(seed), np.empty((0, 2))
    for _ in range(10):
        try:
            (suggestion,) = explorer.suggest(1)
        except ValueError:  # all of it is at the dose limit
            break
        result = {"embedding": np.full(2, np.nan if rng.random() < 0.2 else 0.0), "novelty_p": rng.random()}
        explorer.ingest([{"_id": suggestion["_id"], **result}])
        taken = np.vstack([taken, place(suggestion)])
        assert (cdist(taken, taken[-1:]) < (1 - 1e-6) * beam_size).sum() <= dose_limit  # with this one


def test_a_batch_covers_better_than_chance():
    batch = np.array([place(s) for s in Explorer(BOUNDS).suggest(16)])
    grid = np.stack(np.meshgrid(np.linspace(0, 10, 40), np.linspace(-5, 5, 40)), axis=-1).reshape(-1, 2)
    chance = [cdist(grid, np.random.default_rng(i).uniform([0, -5], [10, 5], (16, 2))).min(1).mean() for i in range(20)]
    assert cdist(grid, batch).min(1).mean() < np.median(chance)


def test_the_seed_settles_ties_and_nothing_else_is_random():
    ways = [[place(s) for s in Explorer(BOUNDS, seed=seed).suggest(5)] for seed in (1, 1, 2)]
    assert np.array_equal(ways[0], ways[1])
    assert not np.array_equal(ways[0], ways[2])
