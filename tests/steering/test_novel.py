"""Follow-up of a novel exposure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from ainerd.steering import Explorer
from ainerd.steering._explorer import AROUND, Novel, chance_new, follow_up
from tests.trials import trials_of

BOUNDS = {"x": (0.0, 10.0), "y": (0.0, 10.0)}
BEAM, SMALLEST = 0.1, 1.0
inside = st.floats(0, 10)


def place(suggestion):
    return np.array([suggestion["x"], suggestion["y"]])


def surprised(position, **options):
    """An explorer that has just found something novel."""
    explorer = Explorer(BOUNDS, smallest_feature=SMALLEST, beam_size=BEAM, **options)
    explorer.ingest([found("spot", position, 0.004)])
    return explorer


def found(key, position, p):
    return {"_id": key, "x": position[0], "y": position[1], "embedding": np.zeros(2), "novelty_p": p}


@settings(max_examples=12, deadline=None)
@given(x=inside, y=inside)
def test_it_is_measured_once_more_one_beam_beside_it(x, y):
    explorer = surprised((x, y))
    (again,) = explorer.suggest(1)
    assert np.linalg.norm(place(again) - [x, y]) == pytest.approx(BEAM)
    assert ((place(again) >= 0) & (place(again) <= 10)).all()
    assert again["novel_neighbour"] == 1
    explorer.ingest([found(again["_id"], place(again), 0.6)])  # a false alarm: nothing is bracketed
    assert explorer.suggest(1)[0]["novel_neighbour"] == 0


@settings(max_examples=5, deadline=None)
@given(dose_limit=st.integers(1, 3), x=st.floats(2, 8), y=st.floats(2, 8))
def test_no_spot_gets_more_than_its_dose(dose_limit, x, y):
    explorer = surprised((x, y), dose_limit=dose_limit)
    for _ in range(8):
        (suggestion,) = explorer.suggest(1)
        explorer.ingest([found(suggestion["_id"], place(suggestion), 0.004)])
    measured = [(point["x"], point["y"]) for point in trials_of(explorer).values()]
    for position in measured:
        apart = np.linalg.norm(np.array(measured) - position, axis=1)
        assert (apart < (1 - 1e-6) * BEAM).sum() <= dose_limit


def test_a_spot_that_was_seen_twice_is_bracketed_twice():
    explorer = surprised((5.0, 5.0))
    (again,) = explorer.suggest(1)
    explorer.ingest([found(again["_id"], place(again), 0.02)])
    around = explorer.suggest(2)
    assert [np.linalg.norm(place(s) - [5, 5]) for s in around] == pytest.approx([SMALLEST] * 2)
    assert np.linalg.norm(place(around[0]) - place(around[1])) > SMALLEST
    assert all("how far does it reach?" in s["reason"] for s in around)
    assert explorer.suggest(1)[0]["novel_neighbour"] == 0


def test_the_most_novel_spot_comes_first():
    explorer = surprised((2.0, 2.0))
    explorer.ingest([found("other", (8.0, 8.0), 0.001)])
    (first, second) = explorer.suggest(2)
    assert np.linalg.norm(place(first) - [8, 8]) == pytest.approx(BEAM)
    assert np.linalg.norm(place(second) - [2, 2]) == pytest.approx(BEAM)


def test_a_novel_exposure_of_the_same_regime_elsewhere_confirms_it():
    explorer = surprised((2.0, 2.0), labeler=lambda z: np.zeros(len(z), int))
    explorer.ingest([found("other", (8.0, 8.0), 0.001)])
    assert explorer.suggest(1)[0]["novel_neighbour"] == 0  # nothing to confirm, and more to find elsewhere


def test_the_smaller_the_p_value_the_more_a_second_exposure_is_worth():
    p = np.array([0.05, 0.01, 0.001])
    chances = [chance_new(x) for x in p]
    assert chances == sorted(chances) and 0.2 < chances[0] < 0.5 and chances[-1] > 0.9
    far = Explorer(BOUNDS, travel_time=lambda a, b: 1e4 * np.linalg.norm(b - a, axis=1), exposure_s=60.0)
    far.ingest([found("spot", (1.0, 1.0), 0.05), {"_id": "away", "x": 9.0, "y": 9.0, "embedding": np.zeros(2)}])
    assert far.suggest(1)[0]["novel_neighbour"] == 0  # the way back is long


def test_where_nothing_beside_it_may_be_measured_it_goes_on():
    explorer = surprised((5.0, 5.0))
    explorer.exclude({"x": (4.0, 6.0), "y": (4.0, 6.0)})
    assert explorer.suggest(1)[0]["novel_neighbour"] == 0


@pytest.mark.parametrize("n", [1, 3])
def test_with_other_numbers_of_actuators_it_goes_along_an_axis(n):
    names = ["x", "y", "z"][:n]
    explorer = Explorer(dict.fromkeys(names, (0.0, 10.0)), beam_size=BEAM)
    middle = dict.fromkeys(names, 5.0)
    explorer.ingest([{"_id": "spot", **middle, "embedding": np.zeros(2), "novelty_p": 0.01}])
    (again,) = explorer.suggest(1)
    moved = [abs(again[name] - 5.0) for name in names]
    assert sorted(moved) == pytest.approx([0.0] * (n - 1) + [BEAM])


@pytest.mark.parametrize("seed", range(4))
def test_many_spots_are_followed_up_as_one_by_one(seed):
    rng = np.random.default_rng(seed)
    position = np.round(rng.uniform(0, 10, (150, 2)), 1)
    p, label = (
        rng.permutation(150) / 1000 + 0.001,
        np.where(np.arange(150) < 90, np.arange(150), rng.integers(-1, 2, 150)),
    )
    spots = [Novel(position[i], p[i], int(label[i])) for i in np.flatnonzero(p <= 0.05)]
    explorer = Explorer(BOUNDS, smallest_feature=SMALLEST, beam_size=BEAM)
    explorer.ingest([found(str(i), position[i], p[i]) for i in range(150)])
    found_up = follow_up(explorer._survey(), spots)
    n_within = [(cdist([spot.position for spot in spots], position) <= AROUND * r).sum(1) for r in (BEAM, SMALLEST)]
    expected = None
    for i in sorted(range(len(spots)), key=lambda i: spots[i].p):
        alike = [
            k
            for k, other in enumerate(spots)
            if k != i
            and (
                np.linalg.norm(other.position - spots[i].position) <= AROUND * SMALLEST
                or 0 <= other.label == spots[i].label
            )
        ]
        is_bracketed = any(n_within[1][k] - n_within[0][k] >= 2 for k in [i, *alike])
        if not (is_bracketed if alike else n_within[0][i] > 1):
            expected = (spots[i], bool(alike))
            break
    assert (found_up and (found_up.spot, found_up.confirmed)) == expected
