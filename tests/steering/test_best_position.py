import numpy as np
from scipy.spatial.distance import cdist

from tests.explorer import Explorer

BOUNDS = {"x": (0.0, 10.0), "y": (-5.0, 5.0)}


def place(suggestion):
    return np.array([suggestion["x"], suggestion["y"]])


def test_a_batch_covers_better_than_chance():
    batch = np.array([place(s) for s in Explorer(BOUNDS).suggest(16)])
    grid = np.stack(np.meshgrid(np.linspace(0, 10, 40), np.linspace(-5, 5, 40)), axis=-1).reshape(-1, 2)
    chance = [cdist(grid, np.random.default_rng(i).uniform([0, -5], [10, 5], (16, 2))).min(1).mean() for i in range(20)]
    assert cdist(grid, batch).min(1).mean() < np.median(chance)


def test_the_seed_settles_ties_and_nothing_else_is_random():
    ways = [[place(s) for s in Explorer(BOUNDS, seed=seed).suggest(5)] for seed in (1, 1, 2)]
    assert np.array_equal(ways[0], ways[1])
    assert not np.array_equal(ways[0], ways[2])
