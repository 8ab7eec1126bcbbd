import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ainerd.steering import POLICIES
from tests.explorer import Explorer
from tests.trials import trials_of

BOUNDS = {"sample_x": (0.0, 10.0), "sample_y": (-5.0, 5.0)}
KNOWN = {"embedding": np.zeros(3), "novelty_p": 0.6}


def one_regime(z):
    return np.zeros(len(z), int)


def xy(suggestion):
    return np.array([suggestion["sample_x"], suggestion["sample_y"]])


def measure(explorer, result=KNOWN):
    (suggestion,) = explorer.suggest(1)
    explorer.ingest([{"_id": suggestion["_id"], **result}])
    return suggestion


def test_every_suggestion_has_the_same_keys_and_lies_within_the_bounds():
    explorer = Explorer(BOUNDS, labeler=lambda z: np.arange(len(z)) % 2)
    seen = []
    for i in range(14):
        suggestion = measure(explorer, {"embedding": np.full(3, i), "novelty_p": 0.01 if i == 8 else 0.5})
        seen.append(set(suggestion))
        assert 0 <= suggestion["sample_x"] <= 10 and -5 <= suggestion["sample_y"] <= 5
        assert all(np.isfinite(suggestion[term]) and suggestion[term] >= 0 for term in Explorer.terms)
        assert suggestion["reason"]
    assert seen == [{"_id", "sample_x", "sample_y", "reason", *Explorer.terms}] * 14


def test_a_novel_exposure_is_confirmed_once():
    plain, surprised = Explorer(BOUNDS), Explorer(BOUNDS)
    for _ in range(2):
        measure(plain), measure(surprised)
    measure(plain)
    novel = {"embedding": np.ones(3), "novelty_p": 0.003}
    spot = measure(surprised, novel)
    near = measure(surprised, novel)
    assert 0 < np.linalg.norm(xy(near) - xy(spot)) < 1 and "to confirm it" in near["reason"]
    assert near["novel_neighbour"] > 0.2
    assert all(measure(surprised)["novel_neighbour"] == 0 for _ in range(5))
    assert np.linalg.norm(xy(measure(plain)) - xy(spot)) > 2  # without the novelty it would have gone elsewhere


def test_a_novel_exposure_of_the_same_regime_elsewhere_confirms_it():
    explorer = Explorer(BOUNDS, labeler=lambda z: np.zeros(len(z), int))
    for key, x in (("spot", 2.0), ("other", 8.0)):
        point = {"_id": key, "sample_x": x, "sample_y": 0.0, "embedding": np.zeros(2), "novelty_p": 0.004}
        explorer.ingest([point])
    assert explorer.suggest(1)[0]["novel_neighbour"] == 0


def test_the_smaller_the_p_value_the_more_a_second_exposure_is_worth():
    worth = []
    for p in (0.05, 0.01, 0.001):
        explorer = Explorer(BOUNDS)
        explorer.ingest([{"_id": "a", "sample_x": 5.0, "sample_y": 0.0, "embedding": np.zeros(2), "novelty_p": p}])
        worth.append(explorer.survey().confirmation.max())
    assert worth == sorted(worth) and 0.2 < worth[0] < 0.5 and worth[-1] > 0.9


def test_the_way_is_short():
    def path(policy):
        explorer = Explorer(BOUNDS, policy=POLICIES[policy])
        return np.linalg.norm(np.diff([xy(measure(explorer)) for _ in range(30)], axis=0), axis=1).sum()

    assert path("new_regimes") < 0.8 * path("sobol")


def test_suggestions_of_a_batch_do_not_pile_up():
    batch = Explorer(BOUNDS).suggest(12)
    apart = cdist([xy(s) for s in batch], [xy(s) for s in batch])[np.triu_indices(12, 1)]
    assert apart.min() > 1.5


def test_a_point_replaces_that_of_the_same_id():
    explorer = Explorer(BOUNDS)
    failed = measure(explorer, {"embedding": np.full(3, np.nan)})
    explorer.ingest([{"_id": failed["_id"], **KNOWN}])
    (trial,) = trials_of(explorer.exposures).values()
    assert trial["embedding"] is not None and not trial["failed"]


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
    explorer.expect({}, {})
    assert np.allclose(xy(explorer.suggest(1)[0]), xy(first))


def test_best_points_are_the_novel_ones_most_novel_first():
    explorer = Explorer(BOUNDS)
    for p in (0.04, 0.5, 0.001, None):
        measure(explorer, {"embedding": np.zeros(3), "novelty_p": p})
    assert [outcome["novelty_p"] for _, _, outcome in explorer.get_best_points()] == [0.001, 0.04]


def test_a_verdict_counts_more_than_alpha():
    explorer = Explorer(BOUNDS, alpha=0.05)
    for i, (p, novel) in enumerate([(0.04, False), (0.5, True), (0.03, None), (None, True)]):
        point = {"_id": str(i), "sample_x": 1.0 + i, "sample_y": 0.0, "embedding": np.zeros(3)}
        explorer.ingest([{**point, "novelty_p": p, "novel": novel}])
    assert [key for key, _, _ in explorer.get_best_points()] == ["2", "1"]


def test_exposures_are_judged_again_by_the_session():
    explorer = Explorer(BOUNDS, alpha=0.05)
    for i, (p, own_p) in enumerate([(0.01, 0.3), (0.5, 0.004), (0.02, None)]):
        measured = {"_id": str(i), "sample_x": 1.0 + i, "sample_y": 0.0, "embedding": np.zeros(3), "novelty_p": p}
        explorer.ingest([measured])
        explorer.exposures.give(str(i), own_p=np.nan if own_p is None else own_p)
    explorer.exposures.own_level = 0.01
    assert [(key, p["novelty_p"]) for key, _, p in explorer.get_best_points()] == [("1", 0.004)]
    explorer.exposures.own_level = None
    assert [(key, p["novelty_p"]) for key, _, p in explorer.get_best_points()] == [("0", 0.01), ("2", 0.02)]


@pytest.mark.parametrize(
    ("embedding", "message"),
    [(np.zeros((2, 3)), r"shape \(2, 3\), others have \(e,\)"), (None, "has no embedding: give NaN")],
)
def test_an_embedding_that_is_none_is_refused(embedding, message):
    with pytest.raises(ValueError, match=message):
        Explorer(BOUNDS).ingest([{"_id": "a", "sample_x": 2.0, "sample_y": 0.0, "embedding": embedding}])


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
        *((BOUNDS, {name: 0}, f"{name} must be positive") for name in ("smallest_feature", "beam_size")),
        *((BOUNDS, {"dose_limit": n}, f"dose_limit must be a whole number from 1 on, got {n}") for n in (0, 0.5, 2.0)),
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


def test_changed_bounds_keep_the_results():
    explorer = Explorer(BOUNDS, labeler=lambda z: np.zeros(len(z), int))
    for _ in range(6):
        measure(explorer)
    before = trials_of(explorer.exposures)
    explorer.window = explorer.window.changed({"sample_y": (-5.0, 15.0), "sample_x": (0.0, 10.0)}, [])
    assert explorer.bounds == {"sample_x": (0.0, 10.0), "sample_y": (-5.0, 15.0)}
    assert trials_of(explorer.exposures) == before
    drawn = explorer.map()
    y = drawn.axes["sample_y"]
    assert drawn.unexplored[y > 6].mean() > 2 * drawn.unexplored[y < 4].mean()
    assert max(measure(explorer)["sample_y"] for _ in range(4)) > 8  # to where nothing was measured
    with pytest.raises(ValueError, match="for each of sample_x, sample_y, and for no other: got sample_x$"):
        explorer.window.changed({"sample_x": (0.0, 10.0)}, [])


def test_it_stops_in_words_once_covered():
    explorer = Explorer(BOUNDS, labeler=one_regime, smallest_feature=2.5)
    reasons = []
    while not (verdict := explorer.should_stop())[0]:
        reasons.append(verdict[1])
        measure(explorer, {"embedding": np.zeros(2)})
        assert len(reasons) < 60
    assert reasons[0] == "a region of radius 2.5 could still hide in 100 % of the sample; at 5 % the search is complete"
    assert verdict[1].startswith("a region of radius 2.5 could hide in only ")
    assert "1 regime, unchanged over the last 8 exposures" in verdict[1]


def test_a_pending_suggestion_covers_nothing_yet():
    explorer = Explorer(BOUNDS, smallest_feature=2.5)
    explorer.suggest(40)
    assert explorer.should_stop() == (
        False,
        "a region of radius 2.5 could still hide in 100 % of the sample; at 5 % the search is complete",
    )


def test_all_failed_names_no_regime_and_goes_on():
    explorer = Explorer(BOUNDS, labeler=one_regime, smallest_feature=2.5)
    for _ in range(40):
        measure(explorer, {"embedding": np.full(2, np.nan)})
    assert (explorer.map().regime == -1).all()
    stop, why = explorer.should_stop()
    assert not stop and "first stay the same" in why
    assert explorer.suggest(1)[0]["reason"]


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ({"sample_x": 11.0, "sample_y": 0.0}, r"\(11.00, 0.00\) lies outside the bounds"),
        ({"sample_x": 2.5, "sample_y": 0.0}, r"\(2.50, 0.00\) lies in an excluded region"),
        ({"sample_x": 2.5}, "brings no position"),
    ],
)
def test_a_persons_point_where_nothing_may_be_measured_is_refused(position, message):
    explorer = Explorer(BOUNDS)
    explorer.window = explorer.window.changed(explorer.bounds, [{"sample_x": (2.0, 3.0)}])
    with pytest.raises(ValueError, match=message):
        explorer.register_suggestions([position])
    assert not trials_of(explorer.exposures)


def test_a_point_by_hand_outside_the_limits_is_known_and_not_suggested():
    explorer = Explorer(BOUNDS, labeler=one_regime)
    explorer.ingest([{"_id": "far", "sample_x": 30.0, "sample_y": 0.0, **KNOWN}])
    assert 0 <= explorer.suggest(1)[0]["sample_x"] <= 10


def test_a_labeler_that_leaves_some_out_is_named():
    explorer = Explorer(BOUNDS, labeler=lambda z: np.zeros(len(z) + 1, int))
    with pytest.raises(ValueError, match="labeler must give a regime for each of the 1 emb"):
        measure(explorer)
