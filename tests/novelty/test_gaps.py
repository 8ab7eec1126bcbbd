"""Gaps between regimes: none within one regime or along a line, one between two kinds."""

import json
from importlib.resources import files

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from ainerd.novelty import Border, Components, components, gap, threshold

WIDTH = 4.0


def cut(z, k=None):
    """Labels of average linkage, at the width or into k groups."""
    return fcluster(linkage(z, "average"), *((WIDTH, "distance") if k is None else (k, "maxclust"))) - 1


def cloud(rng, n, middle=0.0, spread=0.5):
    return (rng.normal(0, spread, (n, 8)) + np.eye(8)[0] * middle).astype(np.float32)


def number_of_components(draw, label, n=60):
    numbers = []
    for seed in range(n):
        z = draw(np.random.default_rng(seed))
        numbers.append(len(components(z, label(z), WIDTH).groups))
    return np.array(numbers)


@pytest.mark.parametrize("size", [6, 40])
def test_one_regime_cut_in_two_is_one_component(size):
    numbers = number_of_components(lambda rng: cloud(rng, size), lambda z: cut(z, 2))
    assert (numbers == 1).mean() >= 0.85


def test_a_line_cut_into_regimes_is_one_component():
    def line(rng):
        return cloud(rng, 32) + np.outer(np.linspace(0, 8 * WIDTH, 32), np.eye(8)[1]).astype(np.float32)

    cuts = [len(np.unique(cut(line(np.random.default_rng(seed))))) for seed in range(10)]
    assert min(cuts) > 2  # the agent's cut makes several regimes of it
    assert (number_of_components(line, cut) == 1).mean() >= 0.9


@pytest.mark.parametrize("apart", [WIDTH, 3 * WIDTH])
def test_two_kinds_have_a_gap(apart):
    def two(rng):
        return np.concatenate([cloud(rng, 12), cloud(rng, 8, middle=apart)])

    assert (number_of_components(two, lambda z: np.repeat([0, 1], [12, 8])) == 2).mean() >= 0.95


def test_the_narrowest_border_of_two_components_counts_whichever_comes_first():
    rng, middle = np.random.default_rng(0), {0: 0.0, 1: 30.0, 2: 42.0, 3: 60.0}
    z, labels = np.concatenate([cloud(rng, 12, middle=x) for x in middle.values()]), np.repeat([*middle], 12)
    result = components(z, labels, WIDTH)
    assert result.groups == ((0,), (1,), (2,), (3,))
    for one, other, pair in (((0,), (2,), (0, 2)), ((0, 2), (1, 3), (1, 2)), ((0, 3), (1, 2), (2, 3))):
        border = result.borders[pair]
        expected = (border.distance / border.threshold, border.distance)
        assert result.between(one, other) == result.between(other, one) == expected
    assert result.between((0,), (7,)) == (0.0, 0.0)
    assert result.of(3) == (3,) and result.of(9) == (9,)


def test_the_distance_is_in_own_spreads():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, [0.5, 0.1], (4000, 2)), rng.normal(0, [0.5, 0.1], (4000, 2)) + [0, 5]
    assert gap(one, other, 0.1) == pytest.approx(50, rel=0.05)  # the spread across the line does not count
    assert gap(one, one, 0.1) == 0
    assert gap(one[:1], one[:1] + [0, 1], 0.25) == pytest.approx(1 / np.sqrt(3 * 0.25**2 / 3))  # the prior alone
    few, others = [0.0, 1.0, 5.0], [9.0, 13.0]  # means 2 and 11, squares 14 and 8, with 6 degrees of freedom
    z = [np.outer(x, [0.6, 0.8]) for x in (few, others)]
    assert gap(*z, 0.5) == pytest.approx(9 / np.sqrt((3 * 0.5**2 + 14 + 8) / 6))
    edge = components(np.vstack(z), np.repeat([0, 1], [3, 2]), 2.0).borders[0, 1]
    assert edge.distance == pytest.approx(gap(*z, 0.1314 * 2)) and edge.sizes == (3, 2)
    assert [Border(x, 2.0, (3, 2)).is_gap for x in (1.9, 2.0, 2.1)] == [False, False, True]


def test_the_unassigned_are_of_no_component():
    z = np.array([0.0, 0.1, 90, 90.1, 50, 90.2])[:, None].astype(np.float32)
    result = components(z, np.array([0, 0, 3, 3, -1, 3]), WIDTH)
    assert result.groups == ((0,), (3,)) and result.of(3) == (3,) and result.of(9) == (9,)
    assert components(z, np.full(6, -1), WIDTH).groups == ()
    np.testing.assert_array_equal(result.largest(np.array([0, 0, 3, 3, -1, 3])), [0, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(result.largest(np.array([3, 0, 0, 3, -1])), [0, 1, 1, 0, 0])  # the first of equals
    assert not Components().largest(np.array([0, 1])).any()


def test_smaller_groups_need_a_wider_gap_and_the_recipe_is_kept():
    assert threshold(1, 2) > threshold(2, 8) > threshold(2, 18) > threshold(2, 38)
    kept = json.loads((files("ainerd.novelty") / "gaps.json").read_text())
    assert kept["recipe"]["command"] == "python -m studies.gaps table"
    table = kept["thresholds"]  # rows: the smaller group has 1 to 5 points; columns: both have 2 to 60
    assert (len(table), {len(row) for row in table}) == (5, {59})
    for a, b, row, column in ((1, 1, 0, 0), (4, 3, 2, 5), (9, 9, 4, 16), (500, 9, 4, 58)):
        assert threshold(a, b) == threshold(b, a) == table[row][column]
