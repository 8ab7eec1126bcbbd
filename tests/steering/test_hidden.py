"""Chances of hidden inclusions, layers along a limit, large regions and unseen layers, against random samples."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import ainerd.steering._survey as chances
from ainerd.steering import Window

SMALLEST = 0.08
WINDOW = Window({"x": (0.0, 1.0), "y": (0.0, 1.0)})
HIDDEN = chances.Hidden(WINDOW, SMALLEST)
POSITIONS = np.array([[0.5, 0.5], [0.2, 0.7], [0.85, 0.3], [0.55, 0.05]])


NODES = [0, 410, 815, 1250]


def nearest(positions):
    return cdist(WINDOW.nodes, positions).min(1)


def test_hidden_discs_are_hit_as_often_as_drawn_ones():
    rng = np.random.default_rng(1)
    centre = WINDOW.nodes[rng.integers(0, len(WINDOW.nodes), 400_000)]
    radius = np.exp(rng.uniform(*np.log((0.6 * SMALLEST, chances.WIDEST)), len(centre)))
    unseen = (cdist(centre, POSITIONS) > radius[:, None]).all(1)
    expected = chances.INCLUSIONS * (unseen & (cdist(WINDOW.nodes[NODES], centre) < radius)).mean(1)
    assert HIDDEN.uncovered(nearest(POSITIONS))[NODES] == pytest.approx(expected, abs=0.004)


def test_a_large_region_is_hit_as_often_as_drawn_ones():
    rng = np.random.default_rng(3)
    centre = WINDOW.nodes[rng.integers(0, len(WINDOW.nodes), 400_000)]
    radius = rng.uniform(0, chances.LARGE_RADIUS, len(centre))
    unseen = (cdist(centre, POSITIONS[:2]) > radius[:, None]).all(1)
    expected = (unseen & (cdist(WINDOW.nodes[NODES], centre) < radius)).mean(1)
    assert HIDDEN.large(nearest(POSITIONS[:2]))[NODES] == pytest.approx(expected, abs=0.004)


def test_a_layer_along_a_limit_is_hit_as_often_as_drawn_ones():
    rng = np.random.default_rng(3)
    wall, n = rng.integers(0, 4, 400_000), 400_000
    thick = np.exp(rng.uniform(np.log(chances.THINNEST * SMALLEST), np.log(chances.THICKEST * SMALLEST), n))
    positions = np.array([[0.03, 0.5], [0.5, 0.9]])

    def depth(position):
        return np.array([position[0], position[1], 1 - position[0], 1 - position[1]])[wall]

    unseen = np.all([depth(position) > thick for position in positions], axis=0)
    for node in (0, 39, 820, 1599):
        first = unseen & (depth(WINDOW.nodes[node]) < thick)
        assert HIDDEN.layers(positions)[node] == pytest.approx(chances.LAYERS * first.mean(), abs=0.001)


# unseen layers

LINE = Window({"x": (0.0, 10.0)})


@pytest.mark.parametrize("regimes", [(0, 1), (0, 0)], ids=["between two regimes", "within one regime"])
def test_the_chance_of_an_unseen_layer_is_that_of_drawn_boundaries(regimes):
    positions, labels = np.array([[2.0], [7.0], [10.0]]), np.array([*regimes, 1])
    belief, chance = chances.layered(LINE, positions, labels)
    assert belief == chances.LAYERED
    rng, rate = np.random.default_rng(0), (2 + 1) / LINE.width
    for node in LINE.nearest_node(np.array([[3.0], [4.5], [6.5]])):
        at = LINE.nodes[node, 0]
        left, right = rng.poisson(rate * (at - 2), 200_000), rng.poisson(rate * (7 - at), 200_000)
        new = (left > 0) & (right > 0)
        if regimes == (0, 1):  # there is a boundary between two regimes
            new = new[left + right > 0]
        assert chance[node] == pytest.approx(chances.NEW * new.mean(), abs=0.003)


def test_bands_are_believed_to_be_layers_and_an_inclusion_is_not():
    window, rng = Window({"x": (0.0, 1.0), "y": (0.0, 1.0)}), np.random.default_rng(1)
    x = rng.random((60, 2))
    oblique = np.digitize(x @ [np.cos(0.5), np.sin(0.5)], [0.4, 0.9])
    inclusion = (np.linalg.norm(x - 0.5, axis=1) < 0.2).astype(int)
    assert chances.layered(window, x, oblique)[0] > 0.3
    assert chances.layered(window, x, inclusion)[0] < 0.01
