"""Chances of unseen layers against boundaries drawn at random."""

import numpy as np
import pytest

from ainerd.steering import Window
from ainerd.steering._survey import LAYERED, NEW, layered

WINDOW = Window({"x": (0.0, 10.0)})


@pytest.mark.parametrize("regimes", [(0, 1), (0, 0)], ids=["between two regimes", "within one regime"])
def test_the_chance_of_an_unseen_layer_is_that_of_drawn_boundaries(regimes):
    positions, labels = np.array([[2.0], [7.0], [10.0]]), np.array([*regimes, 1])
    belief, chance = layered(WINDOW, positions, labels)
    assert belief == LAYERED
    rng, rate = np.random.default_rng(0), (2 + 1) / WINDOW.width
    for node in WINDOW.nearest_node(np.array([[3.0], [4.5], [6.5]])):
        at = WINDOW.nodes[node, 0]
        left, right = rng.poisson(rate * (at - 2), 200_000), rng.poisson(rate * (7 - at), 200_000)
        new = (left > 0) & (right > 0)
        if regimes == (0, 1):  # there is a boundary between two regimes
            new = new[left + right > 0]
        assert chance[node] == pytest.approx(NEW * new.mean(), abs=0.003)


def test_one_regime_says_nothing_of_layers():
    belief, chance = layered(WINDOW, np.array([[1.0], [9.0]]), np.zeros(2, dtype=int))
    assert belief == 0 and not chance.any()


def test_bands_are_believed_to_be_layers_and_an_inclusion_is_not():
    window, rng = Window({"x": (0.0, 1.0), "y": (0.0, 1.0)}), np.random.default_rng(1)
    x = rng.random((60, 2))
    oblique = np.digitize(x @ [np.cos(0.5), np.sin(0.5)], [0.4, 0.9])
    inclusion = (np.linalg.norm(x - 0.5, axis=1) < 0.2).astype(int)
    assert layered(window, x, oblique)[0] > 0.3
    assert layered(window, x, inclusion)[0] < 0.01


def test_regimes_scattered_over_thousands_of_points_are_no_layers():
    window, rng = Window({"x": (0.0, 1.0), "y": (0.0, 1.0)}), np.random.default_rng(2)
    belief, chance = layered(window, rng.random((3000, 2)), rng.integers(5, size=3000))
    assert belief == 0 and np.isfinite(chance).all()
