"""Positions that follow a path: again where the sample has changed since, at the age of a change, at its border."""

import numpy as np
import pytest

from ainerd.knobs import Knob
from ainerd.steering import Candidate, Course, Explorer, Following
from ainerd.steering._following import in_holes
from ainerd.steering._policies import _at_or_beside

BOUNDS = {"x": (0.0, 20.0), "y": (0.0, 10.0)}
PLACES = np.array([[x, y] for x in np.arange(1.0, 20, 2.5) for y in (2.0, 5.0, 8.0)])


def aged(positions, ages, regime_of, **options):
    """An explorer whose embeddings are the regimes: ``regime_of(x, age)``."""
    explorer = Explorer(BOUNDS, labeler=lambda z: z[:, 0].astype(int), smallest_feature=1.5, **options)
    points = zip(positions, ages, strict=True)
    explorer.ingest(
        [
            {"_id": str(i), "x": x, "y": y, "age_s": age, "embedding": [regime_of(x, age), 0.0]}
            for i, ((x, y), age) in enumerate(points)
        ]
    )
    return explorer


def measured_again(explorer, n):
    """The next n suggestions that are measured again, all others between them measured as well."""
    again = []
    for i in range(3 * n):
        (suggestion,) = explorer.suggest(1)
        again += [suggestion] if suggestion["reason"].startswith("again near ") else []
        if len(again) == n:
            return again
        explorer.ingest([{"_id": suggestion["_id"], "age_s": 1500.0 + i, "embedding": [2.0, 0.0]}])
    raise AssertionError(f"only {len(again)} of {3 * n} were measured again")


def place(suggestion):
    return np.array([suggestion["x"], suggestion["y"]])


@pytest.mark.parametrize("time", ["age", "order"])
def test_the_oldest_exposures_of_a_path_in_time_are_measured_again_and_then_count_as_new(time):
    places = np.random.default_rng(0).permutation(PLACES)
    explorer = aged(places, 60.0 * np.arange(1, 25), lambda x, age: age // 500)
    assert "again" not in explorer.suggest(1)[0]["reason"]
    explorer.following = Following(courses=(Course((0, 1, 2), time),))
    again = measured_again(explorer, 4)
    nearest = [int(np.linalg.norm(places - place(x), axis=1).argmin()) for x in again]
    assert len(set(nearest)) == 4 and max(nearest) < 16  # none of the newest third, each once
    assert max(np.linalg.norm(places[k] - place(x)) for k, x in zip(nearest, again, strict=True)) < 1.5


def test_a_path_along_a_knob_is_not_measured_again():
    explorer = aged(PLACES, 60.0 * np.arange(1, 25), lambda x, age: x // 7)
    explorer.following = Following(courses=(Course((0, 1, 2)),))
    assert "again" not in explorer.suggest(1)[0]["reason"]


def test_what_is_of_no_path_and_what_is_as_old_as_the_newest_has_not_changed():
    following = Following(courses=(Course((0, 1), "age"), Course((3,), "order")))
    regime, age = np.array([0, 2, 0, 1, 3, 1]), np.array([10.0, 20, 30, 1000, 40, 2000])
    assert following.gone_since(regime, age) == pytest.approx([1, 0, 2 / 3, 1 / 3, 0, 0])
    younger = np.array([10.0, 20, 30, 1000, 40, 10.0])  # made young again
    assert following.gone_since(regime, younger) == pytest.approx([1 / 3, 0, 1 / 3, 2 / 3, 0, 0])


def test_at_the_age_of_a_change_its_regimes_are_measured():
    """Regimes 0 and 1 lie on the left, and change to each other between 600 and 900 s; regime 2 on the right stays."""

    def regime_of(x, age):
        return 2 if x > 10 else age > 700

    places = np.random.default_rng(1).permutation(PLACES)
    ages = np.tile([100.0, 300, 500, 600, 900, 1100, 1300, 1500], 3)
    change = Following(changes=(((0, 1), 600.0, 900.0),))
    late = aged(places, ages, regime_of)
    late.following = change
    assert "as old" not in late.suggest(1)[0]["reason"]
    young = aged(np.vstack([places, [[19.5, 0.5], [19.5, 9.5], [19.5, 4.0]]]), [*ages, 100.0, 300.0, 500.0], regime_of)
    young.following = change  # the sample was made young again: the next exposure has an age of 700 s
    (suggestion,) = young.suggest(1)
    assert suggestion["reason"].endswith("when the sample was as old there as it is here now")
    assert suggestion["x"] < 11.5


@pytest.mark.parametrize(
    ("age_s", "due"),
    [
        ([100, 300, 500], (0, 1)),  # the next one has an age of 700 s
        ([100, 300, 400], ()),  # of 550 s
        ([400, 500], ()),  # of 600 s, where the change begins
        ([500, 700], ()),  # of 900 s, where it ends
        ([1200, 100, 300, 500], (0, 1)),  # the sample was made young again
        ([100, np.nan, 300, 500, np.nan], (0, 1)),
        ([500], ()),
        ([500, 500, 500], ()),
        ([], ()),
        ([0, *range(100, 109), 308, 508], ()),  # usual steps are the last eight: the next one has an age of 509 s
        ([1700, 2100], (2, 3)),
    ],
)
def test_a_change_is_due_if_the_usual_step_ends_between_its_ages(age_s, due):
    following = Following(changes=(((0, 1), 600.0, 900.0), ((2, 3), 2000.0, 2600.0)))
    assert following.due(np.array(age_s, float)) == due


def test_between_the_regimes_of_a_path_there_is_no_border():
    explorer = aged(PLACES, np.ones(24), lambda x, age: x // 5)  # regimes 0, 1, 2, 3 from left to right

    def borders():
        found = []
        for x in (5.0, 10.0, 15.0):
            (point,) = explorer.register_suggestions([{"x": x - 0.25, "y": 3.5}])
            found.append(point["boundary"])
            explorer.withdraw(point["_id"])
        return found

    assert min(borders()) > 0.5
    explorer.following = Following(courses=(Course((0, 1, 2)),))
    first, second, third = borders()
    assert max(first, second) < 0.45 and third > 0.5
    assert set(np.unique(explorer.map().regime)) == {0, 1, 2, 3}  # the map shows regimes


def test_the_very_spot_is_measured_again_if_the_dose_limit_allows_it():
    explorer = aged(PLACES, 60.0 * np.arange(1, 25), lambda x, age: age // 500, dose_limit=2)
    explorer.following = Following(courses=(Course((0, 1, 2), "age"),))
    (again,) = measured_again(explorer, 1)
    assert np.linalg.norm(PLACES - place(again), axis=1).min() == 0


def test_a_candidate_is_measured_at_its_very_place_unless_its_level_of_a_slow_knob_is_not_open():
    knobs = {
        "x": Knob(range=(0, 20), unit="mm", length=2.0),
        "t": Knob(range=(300, 400), unit="K", length=20.0, settle_s=1),
    }
    explorer = Explorer({name: knob.range for name, knob in knobs.items()}, knobs=knobs)
    explorer.candidates = [Candidate({"x": 12.3, "t": 322.0}, 0.0001, "xtec")]
    survey, spot = explorer._survey(), explorer.window.position(np.array([12.3, 322.0]))
    elsewhere = survey.is_open & (np.abs(survey.window.nodes[:, 1] - spot[1]) > 1)
    assert not np.array_equal(_at_or_beside(survey, spot, elsewhere), spot)
    taken = explorer.suggest(4)
    led = [each for each in taken if each["reason"].startswith("xtec found something ")]
    assert [(each["x"], each["t"]) for each in led] == [(12.3, 322.0)]


def test_the_depth_in_a_hole_is_the_way_to_what_was_measured_in_half_widths():
    x = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.5, 9.9, 10.0, 12.0])
    nodes, visited = np.column_stack([x, np.zeros(10)]), np.array([[6.0, 5.0], [30.0, 1.0], [-3.0, 1.0]])
    depth = [0, 0, 0.25, 0.5, 0, 0.25, 0.375, 0.025, 0, 0]  # the hole is 8 wide, and 6 was measured
    assert in_holes([(0, 2.0, 10.0)], nodes, visited) == pytest.approx(depth)
    assert in_holes([(1, 2.0, 10.0), (0, 8.0, 10.0)], nodes, visited) == pytest.approx([*[0] * 6, 0.5, 0.1, 0, 0])
    both = in_holes([(1, -1.0, 1.0), (0, 2.0, 10.0)], nodes, np.empty((0, 2)))
    assert both == pytest.approx([1] * 10)  # the middle of another knob's hole
    assert not in_holes([], nodes, visited).any()


def test_the_ages_of_one_exposure_tell_no_way():
    following = Following(courses=(Course((0,), "age"), Course((1,), "order")))
    gone = following.gone_since(np.array([0, 1, 1, 1]), np.array([5.0, 1, 2, 3]))
    assert gone.tolist() == [0, 1, 0.5, 0]
