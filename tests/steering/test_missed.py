"""The chance of missed regions, against regions drawn at random."""

import numpy as np

from ainerd.knobs import Knob
from ainerd.steering import Window
from ainerd.steering._missed import missed, surely_hit

SQUARE = Window({"x": (0.0, 1.0), "y": (0.0, 1.0)})


def test_the_chance_of_discs_is_the_share_of_all_centres():
    rng = np.random.default_rng(0)
    positions = 0.1 + 0.8 * rng.random((80, 2))  # none near the limits
    centres = rng.random((100_000, 2))
    share = (np.linalg.norm(centres[:, None] - positions, axis=2) > 0.1).all(1).mean()
    assert share <= missed(SQUARE, positions, 0.1) <= share + 0.03
    near_limits = np.minimum(centres, 1 - centres).min(1) < 0.1
    inside = (np.linalg.norm(centres[~near_limits, None] - positions, axis=2) > 0.1).all(1).mean()
    assert share > 1.5 * inside


def test_in_six_knobs_of_different_lengths_it_holds():
    knobs = {f"k{i}": Knob(range=(0, 10.0 * (i + 1)), unit=str(i), length=5.0 * (i + 1)) for i in range(6)}
    window = Window({name: knob.range for name, knob in knobs.items()}, knobs=knobs)
    rng = np.random.default_rng(4)
    positions, centres = 2 * rng.random((300, 6)), 2 * rng.random((20_000, 6))
    share = (np.linalg.norm(centres[:, None] - positions, axis=2).min(1) > 1).mean()
    assert share - 0.01 <= missed(window, positions, 1.0) <= share + 0.04


def test_excluded_regions_cannot_be_missed():
    window = Window(SQUARE.bounds, [{"x": (0.5, 1.0)}])
    positions = SQUARE.nodes[SQUARE.nodes[:, 0] < 0.5]
    assert missed(window, positions, 0.1) == 0 < missed(SQUARE, positions, 0.1)
    assert missed(Window(SQUARE.bounds, [{"x": (0.0, 1.0)}]), positions, 0.1) == 0
    assert missed(SQUARE, positions[:0], 0.1) == 1


def test_a_ball_of_the_radius_that_is_surely_hit_is_hit_wherever_its_centre_lies():
    rng = np.random.default_rng(1)
    for n in (1, 5, 50):
        positions = rng.random((n, 2))
        radius = surely_hit(SQUARE, positions)
        corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        centres = np.vstack([rng.random((20_000, 2)), corners])
        nearest = np.linalg.norm(centres[:, None] - positions, axis=2).min(1)
        assert nearest.max() <= radius <= 1.1 * (nearest.max() + np.linalg.norm(SQUARE.cell))
    assert surely_hit(SQUARE, positions[:0]) == np.inf
