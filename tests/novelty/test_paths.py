"""Paths by a covariate, breaks and holes beside them, on curves whose arc length is known."""

import numpy as np
import pytest

from ainerd.novelty import Components, components, structure
from ainerd.novelty._paths import _is_step, _some, _steadiness, _step, coordinate

WIDTH, SPREAD = 4.0, 0.4


def curve(s, rng):
    """Points of an arc of radius 8 at arc lengths s, in eight dimensions, with noise."""
    z = rng.normal(0, SPREAD, (len(s), 8))
    z[:, 0] += 8 * np.cos(s / 8)
    z[:, 1] += 8 * np.sin(s / 8)
    return z.astype(np.float32)


def seen(z, labels=None, **covariates):
    labels = np.zeros(len(z), int) if labels is None else labels
    return structure(z, labels, WIDTH, {name: np.asarray(x, float) for name, x in covariates.items()})


def test_the_coordinate_is_the_arc_length():
    s = np.random.default_rng(0).uniform(0, 20, 60)
    z = np.stack([8 * np.cos(s / 8), 8 * np.sin(s / 8)], axis=1)
    along, true = coordinate(z), s - s.min()
    assert min(abs(along - true).max(), abs(along - (true.max() - true)).max()) < 0.5
    straight = coordinate(np.outer(s, [0.6, 0.0, 0.8]))
    assert min(abs(straight - true).max(), abs(straight - (true.max() - true)).max()) < 1e-4
    beside = np.array([*[(x, 0.0) for x in range(11)], (5.0, 1.0)])  # a point beside the line is at its foot
    assert sorted(coordinate(beside)) == pytest.approx(sorted([*range(11), 5]), abs=1e-4)


@pytest.mark.parametrize("scrambled", [False, True])
def test_a_slow_change_is_a_path_by_its_covariate(scrambled):
    covariates = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        s = np.linspace(0, 16, 24)
        s = rng.permutation(s) if scrambled else s
        paths = seen(curve(s, rng), age=60 + 10 * s, x=rng.random(24), order=np.arange(24)).paths
        covariates.append([tuple(path.covariates) for path in paths])
    right = [("age",)] if scrambled else [("age", "order")]
    assert sum(sorted(x[0]) == [*right[0]] for x in covariates if x) >= 19
    assert paths[0].n == 24 and paths[0].covariates["age"] == (60, 220)


@pytest.mark.parametrize("n", [15, 16, 40])
def test_a_path_is_found_among_any_number_of_covariates(n):
    rng = np.random.default_rng(0)
    s = np.linspace(0, 16, 24)
    others = {f"reading {i}": rng.random(24) for i in range(n - 1)}
    (path,) = seen(curve(s, rng), **others, age=s).paths
    assert [*path.covariates] == ["age"]


def test_one_kind_is_no_path():
    rngs = [np.random.default_rng(seed) for seed in range(60)]
    paths = [seen(curve(np.zeros(24), rng), age=np.arange(24), x=rng.random(24)).paths for rng in rngs]
    assert sum(map(bool, paths)) <= 3


def test_a_covariate_that_is_unknown_somewhere_orders_nothing():
    s, rng = np.linspace(0, 16, 24), np.random.default_rng(0)
    age = np.where(s < 1, np.nan, s)
    assert not seen(curve(s, rng), age=age).paths
    assert not seen(curve(s[:7], rng), age=s[:7]).paths  # too few


@pytest.mark.parametrize("first, is_hole", [(17.0, False), (40.0, True)])
def test_a_break_or_a_hole_follows_the_path(first, is_hole):
    rng = np.random.default_rng(1)
    s, later = np.linspace(0, 16, 20), first + np.linspace(0, 3, 5)
    others = [rng.normal(far, SPREAD, (5, 8)).astype(np.float32) for far in (20, 40)]
    ages = np.concatenate([s, later, later + 10])
    result = seen(
        np.concatenate([curve(s, rng), *others]), np.repeat([0, 1, 2], [20, 5, 5]), age=ages, x=rng.random(30)
    )
    assert result.components.groups == ((0,), (1,), (2,))  # the change from 1 to 2 is beside no path
    (beside,) = result.breaks
    assert (beside.regimes, beside.covariate, beside.is_hole) == (((0,), (1,)), "age", is_hole)
    assert beside.between == (16, first) and beside.distance > 5


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("step, n_groups", [(3.0, 1), (6.0, 2)])
def test_a_wide_step_is_of_the_path_and_a_jump_is_not_in_any_unit(step, n_groups, unit):
    rng, labels = np.random.default_rng(2), np.repeat(np.arange(6), 2)
    s = np.cumsum([0, *[1.0] * 7, step, 1.0, 1.0, 1.0])
    z = rng.normal(0, 0.05, (12, 8)) + np.stack([s, *np.zeros((7, 12))], axis=1)
    result = structure(z, labels, 1.0, {"age": unit * np.arange(12), "x": rng.random(12)})
    assert components(z, labels, 1.0).groups == ((0, 1, 2, 3), (4, 5))
    assert len(result.components.groups) == n_groups and [path.n for path in result.paths] == [
        12 if n_groups == 1 else 8
    ]
    # across values of the covariate that were not measured the same step is a hole
    apart = structure(z, labels, 1.0, {"age": unit * np.r_[0:8, 28:32]})
    assert len(apart.components.groups) == 2 and apart.breaks[0].is_hole


@pytest.mark.parametrize("ages", [[7.5], [7.4, 7.5], [np.nan], [7.5, np.nan, 7.4]])
def test_exposures_of_another_kind_do_not_part_a_path(ages):
    rng, labels = np.random.default_rng(2), np.array([0] * 8 + [5] * 4 + [3] * len(ages))
    s = np.cumsum([0, *[1.0] * 7, 3.0, 1.0, 1.0, 1.0])
    z = rng.normal(0, 0.05, (12, 8)) + np.stack([s, *np.zeros((7, 12))], axis=1)
    z = np.concatenate([z, 99 + rng.normal(0, 0.05, (len(ages), 8))])
    result = structure(z, labels, 1.0, {"age": np.concatenate([np.arange(12.0), ages])})
    assert result.components.groups == ((0, 5), (3,)) and [path.n for path in result.paths] == [12]


def test_a_covariate_that_is_constant_where_it_is_compared_gives_no_warning():
    n = np.arange(400)
    z = np.stack([n / 10, *np.zeros((3, 400))], axis=1) + 0.05 * np.random.default_rng(0).normal(size=(400, 4))
    x = np.where(n % 2 == 0, 0.0, 1 + 0.01 * n)  # every second exposure is of a reference
    (path,) = structure(z, n // 40, 4.0, {"age": 1.0 * n, "x": x}).paths
    assert [*path.covariates] == ["age"]


@pytest.mark.parametrize(
    ("steps", "between", "n", "expected"),
    [
        ([1, 1, 1, 3.4, 1, 1, 1], [1] * 7, 4, True),
        ([1, 1, 1, 3.6, 1, 1, 1], [1] * 7, 4, False),
        ([1, 1, 1, 3.6, 2, 2, 2], [1] * 7, 4, False),  # the smaller of both sides counts
        ([2, 2, 2, 3.6, 1, 1, 1], [1] * 7, 4, False),
        ([2, 2, 2, 6.8, 2, 9, 2], [1] * 7, 4, True),  # and its usual step
        ([1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 4, 1, 1, 1], 4, True),
        ([1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 4.1, 1, 1, 1], 4, False),  # a hole
        ([1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 1, 1, 1], 4, False),  # at one value
        ([1, 1, 1, 1, 1], [1] * 5, 3, True),
        ([1, 1, 1, 1, 1], [1] * 5, 2, False),  # one step before it tells nothing
        ([1, 1, 1, 1, 1], [1] * 5, 4, False),
    ],
)
def test_a_step_of_a_path_is_as_wide_as_those_on_both_sides(steps, between, n, expected):
    z, x = (np.cumsum([0.0, *each]) for each in (steps, between))
    assert _is_step(np.outer(z, [0.6, 0.8]), x, n) is expected


def test_a_still_sample_after_a_path_is_another_component():
    rng, labels = np.random.default_rng(3), np.repeat(np.arange(6), 2)
    z = rng.normal(0, 0.05, (12, 8))
    z[:, 0] += [*range(8), *[10.0] * 4]  # three of the path's steps away, and no step further
    assert structure(z, labels, 1.0, {"age": np.arange(12.0)}).components.groups == ((0, 1, 2, 3), (4, 5))


def test_two_kinds_one_after_the_other_are_no_path():
    age, joined = np.arange(24.0), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        z = rng.normal(0, SPREAD, (24, 8)).astype(np.float32)
        z[12:, 0] += 3.0  # a narrow gap
        joined += len(seen(z, np.repeat([0, 1], 12), age=age).components.groups) == 1
        assert len(components(z, np.repeat([0, 1], 12), WIDTH).groups) == 2
    assert joined <= 3


def test_exposures_that_are_all_equal_follow_nothing():
    assert not seen(np.zeros((8, 2), np.float32), age=np.arange(8.0)).paths


def test_without_a_width_there_are_paths_but_no_joined_regimes():
    s, rng = np.linspace(0, 16, 24), np.random.default_rng(0)
    result = structure(curve(s, rng), np.repeat([0, 1], 12), None, {"age": s})
    assert result.components == Components(((0,), (1,)))
    assert [path.regimes for path in result.paths] == [(0,), (1,)]
    assert [beside.distance for beside in result.breaks] == [0]


def test_a_path_has_a_break_or_a_hole_at_both_ends_of_its_covariate():
    rng, s = np.random.default_rng(0), np.linspace(0, 23, 24)
    parts = {  # by number: the ages of a regime
        4: [3.5, 4.5, 5.5, 6.5],  # before the path
        1: 10 + s,  # the path
        3: [50.0],  # one exposure is no neighbour
        0: [60.0, 61.0, np.nan],
        2: [60.5, 70.0],
    }
    labels = np.concatenate([np.full(len(ages), k) for k, ages in parts.items()])
    z = np.concatenate([curve(s, rng) if k == 1 else rng.normal(30 + k, SPREAD, (len(ages), 8))
                        for k, ages in parts.items()]).astype(np.float32)  # fmt: skip
    result = structure(z, labels, None, {"age": np.concatenate([*parts.values()])})
    assert [(path.regimes, dict(path.covariates)) for path in result.paths] == [((1,), {"age": (10.0, 33.0)})]
    assert [(each.regimes, each.between, each.is_hole) for each in result.breaks] == [
        (((4,), (1,)), (6.5, 10.0), False),
        (((1,), (0,)), (33.0, 60.0), True),
    ]


def test_a_path_names_the_covariates_that_vary_with_the_clearest_one():
    rng, s = np.random.default_rng(0), np.linspace(0, 16, 24)
    rough = s + 2.5 * np.tile([1, -1], 12)  # it orders the exposures, too, but does not vary with age
    (path,) = seen(curve(s, rng), coarse=np.floor(s / 2.7), down=-s, rough=rough, age=s, still=np.full(24, 3.0)).paths
    assert [*path.covariates] == ["down", "age"] and path.covariates["down"] == (-16, 0)


def test_at_most_two_hundred_exposures_are_compared():
    assert [_some(np.arange(n)).tolist()[:3] for n in (200, 201, 400, 401)] == [[0, 1, 2], *[[0, 2, 4]] * 2, [0, 3, 6]]
    assert len(_some(np.arange(400))) == 200
    squares = np.square(np.subtract.outer([0.0, 1.0, 3.0, 7.0], [0.0, 1.0, 3.0, 7.0]))
    assert (
        _step(squares, np.array([0, 1, 2, 3])) == (1 + 4 + 16) / 3 and _step(squares, np.array([3, 0, 1, 2])) == 54 / 3
    )
    assert _steadiness(np.arange(5.0), np.array([4.0, 3, 2, 1, 0])) == pytest.approx(1)
    assert _steadiness(np.ones(5), np.arange(5.0)) == _steadiness(np.arange(5.0), np.ones(5)) == 0
