import numpy as np
import pytest
from bluesky_adaptive.protocols import CanRegisterSuggestions, Optimizer, TrialFaultAware
from scipy.spatial.distance import cdist

from ainerd.steering import TERMS, Explorer

BOUNDS = {"sample_x": (0.0, 10.0), "sample_y": (-5.0, 5.0)}
KNOWN = {"embedding": np.zeros(3), "novelty_p": 0.6}


def xy(suggestion):
    return np.array([suggestion["sample_x"], suggestion["sample_y"]])


def measure(explorer, found=KNOWN):
    (suggestion,) = explorer.suggest(1)
    explorer.ingest([{"_id": suggestion["_id"], **found}])
    return suggestion


def test_it_is_what_bluesky_adaptive_asks_for():
    explorer = Explorer(BOUNDS)
    assert isinstance(explorer, Optimizer)
    assert isinstance(explorer, CanRegisterSuggestions)
    assert isinstance(explorer, TrialFaultAware)


def test_every_suggestion_has_the_same_keys_and_lies_within_the_bounds():
    explorer = Explorer(BOUNDS, labeler=lambda z: np.arange(len(z)) % 2)
    seen = []
    for i in range(14):
        suggestion = measure(explorer, {"embedding": np.full(3, i), "novelty_p": 0.01 if i == 8 else 0.5})
        seen.append(set(suggestion))
        assert 0 <= suggestion["sample_x"] <= 10 and -5 <= suggestion["sample_y"] <= 5
        assert all(np.isfinite(suggestion[term]) and suggestion[term] >= 0 for term in TERMS)
        assert suggestion["reason"]
    assert seen == [{"_id", "sample_x", "sample_y", "reason", *TERMS}] * 14


def test_a_novel_exposure_is_confirmed_then_bracketed_then_left():
    plain, surprised = Explorer(BOUNDS), Explorer(BOUNDS)
    for _ in range(2):
        measure(plain), measure(surprised)
    measure(plain)
    novel = {"embedding": np.ones(3), "novelty_p": 0.003}
    spot = measure(surprised, novel)
    beside = measure(surprised, novel)
    assert 0 < np.linalg.norm(xy(beside) - xy(spot)) < 0.2 and "to confirm it" in beside["reason"]
    around = [measure(surprised) for _ in range(2)]
    distances = [np.linalg.norm(xy(s) - xy(spot)) for s in around]
    assert np.all(np.array(distances) < 2.5) and np.all(np.array(distances) > 0.4)
    assert np.linalg.norm(xy(around[0]) - xy(around[1])) > 0.5
    assert all("novel spot" in s["reason"] and "p = 0.003" in s["reason"] for s in around)
    assert np.linalg.norm(xy(measure(plain)) - xy(spot)) > 2  # without the novelty it would have gone elsewhere


def test_once_covered_it_refines_the_boundary_between_two_regimes():
    def halves(z):
        return (z[:, 0] > 5).astype(int)

    def last_steps(labeler):
        explorer = Explorer(BOUNDS, labeler=labeler, smallest_feature=2.0)
        steps = []
        for _ in range(60):
            (s,) = explorer.suggest(1)
            explorer.ingest([{"_id": s["_id"], "embedding": [s["sample_x"], 0, 0], "novelty_p": 0.5}])
            steps.append(s)
        return steps[-10:]

    with_border, without = last_steps(halves), last_steps(None)
    assert all(s["reason"].startswith("between regime") for s in with_border[-3:])
    to_border = [np.mean([abs(s["sample_x"] - 5) for s in steps]) for steps in (with_border, without)]
    assert to_border[0] < 0.8 * to_border[1]


def test_travel_holds_it_back():
    def path(**options):
        explorer = Explorer(BOUNDS, **options)
        points = [xy(measure(explorer)) for _ in range(30)]
        return np.linalg.norm(np.diff(points[6:], axis=0), axis=1).sum()

    slow = path(travel_time=lambda a, b: 10 * np.linalg.norm(b - a, axis=1), exposure_s=50.0)
    fast = path(travel_time=lambda a, b: 0.01 * np.linalg.norm(b - a, axis=1), exposure_s=50.0)
    assert slow < 0.8 * fast


def test_suggestions_of_a_batch_do_not_pile_up():
    batch = Explorer(BOUNDS).suggest(12)
    apart = cdist([xy(s) for s in batch], [xy(s) for s in batch])[np.triu_indices(12, 1)]
    assert apart.min() > 1.5


def test_points_may_bring_their_own_position():
    explorer = Explorer(BOUNDS)
    explorer.ingest([{"_id": "by hand", "sample_x": 5.0, "sample_y": 0.0, **KNOWN}])
    assert np.linalg.norm(xy(explorer.suggest(1)[0]) - [5, 0]) > 2.4


def test_the_same_point_twice_labels_once():
    calls = []
    explorer = Explorer(BOUNDS, labeler=lambda z: calls.append(len(z)) or np.zeros(len(z), int))
    suggestion = measure(explorer)
    explorer.ingest([{"_id": suggestion["_id"], **KNOWN}])
    assert calls == [1]


def test_a_failed_exposure_counts_as_visited_and_as_nothing_else():
    calls = []
    explorer = Explorer(BOUNDS, labeler=lambda z: calls.append(len(z)) or np.zeros(len(z), int))
    failed = measure(explorer, {"embedding": np.full(3, np.nan), "novelty_p": np.nan})
    assert calls == []
    assert explorer.get_best_points() == []
    assert np.linalg.norm(xy(explorer.suggest(1)[0]) - xy(failed)) > 2.4


def test_register_failures_keeps_the_position_visited():
    explorer = Explorer(BOUNDS)
    (suggestion,) = explorer.suggest(1)
    explorer.register_failures([suggestion])
    assert np.linalg.norm(xy(explorer.suggest(1)[0]) - xy(suggestion)) > 2.4


def test_a_withdrawn_suggestion_is_free_again():
    explorer = Explorer(BOUNDS)
    (first,) = explorer.suggest(1)
    explorer.withdraw(first["_id"])
    assert np.allclose(xy(explorer.suggest(1)[0]), xy(first))


def test_best_points_are_the_novel_ones_most_novel_first():
    explorer = Explorer(BOUNDS)
    for p in (0.04, 0.5, 0.001, None):
        measure(explorer, {"embedding": np.zeros(3), "novelty_p": p})
    assert [found["novelty_p"] for _, _, found in explorer.get_best_points()] == [0.001, 0.04]


def test_a_persons_point_is_registered_with_all_keys():
    explorer = Explorer(BOUNDS)
    measure(explorer)
    (mine,) = explorer.register_suggestions([{"sample_x": 1.0, "sample_y": 2.0}])
    assert set(mine) == set(explorer.suggest(1)[0])
    assert (mine["sample_x"], mine["sample_y"]) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("bounds", "options", "message"),
    [
        ({"x": (1.0, 1.0)}, {}, "no width"),
        ({"x": (2.0, 1.0)}, {}, "no width"),
        ({}, {}, "empty"),
        (BOUNDS, {"exposure_s": 5.0}, "belong together"),
    ],
)
def test_bad_options_are_named(bounds, options, message):
    with pytest.raises(ValueError, match=message):
        Explorer(bounds, **options)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"_id": "unknown", **KNOWN}, "brings no position"),
        ({"_id": "a", "sample_x": np.nan, "sample_y": 0.0, **KNOWN}, "not finite"),
    ],
)
def test_points_without_a_place_are_refused(point, message):
    with pytest.raises(ValueError, match=message):
        Explorer(BOUNDS).ingest([point])


def test_two_points_at_one_position_are_fine():
    explorer = Explorer(BOUNDS, labeler=lambda z: np.arange(len(z)))
    for key in ("a", "b"):
        explorer.ingest([{"_id": key, "sample_x": 5.0, "sample_y": 0.0, "embedding": np.ones(3), "novelty_p": 0.01}])
    assert np.isfinite(xy(explorer.suggest(1)[0])).all()
