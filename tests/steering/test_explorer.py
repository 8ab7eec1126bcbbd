import numpy as np
import pytest

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


@pytest.mark.parametrize("p", [1e-4, 0.01, 0.05])
def test_a_second_exposure_is_worth_the_chance_that_the_first_shows_a_new_regime(p):
    explorer = Explorer(BOUNDS)
    explorer.ingest([{"_id": "a", "sample_x": 5.0, "sample_y": 0.0, "embedding": np.zeros(2), "novelty_p": p}])
    new, known = 0.2 * 0.2 * p**-0.8, 0.8  # a fifth are new; their p-values have the distribution function p to the 0.2
    assert explorer.survey().chance == pytest.approx([new / (new + known)])


def test_the_way_is_short():
    def path(policy):
        explorer = Explorer(BOUNDS, policy=POLICIES[policy])
        return np.linalg.norm(np.diff([xy(measure(explorer)) for _ in range(30)], axis=0), axis=1).sum()

    assert path("new_regimes") < 0.8 * path("sobol")


def test_a_failed_exposure_counts_as_visited_and_as_nothing_else():
    calls = []
    explorer = Explorer(BOUNDS, labeler=lambda z: calls.append(len(z)) or np.zeros(len(z), int))
    failed = measure(explorer, {"embedding": np.full(3, np.nan), "novelty_p": np.nan})
    assert calls == []
    assert explorer.get_best_points() == []
    assert np.linalg.norm(xy(explorer.suggest(1)[0]) - xy(failed)) > 2.4


def test_a_withdrawn_suggestion_is_free_again():
    explorer = Explorer(BOUNDS)
    (first,) = explorer.suggest(1)
    explorer.expect({}, {})
    assert np.allclose(xy(explorer.suggest(1)[0]), xy(first))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exposure_s": 5.0}, "belong together"),
        ({"beam_size": 0}, "beam_size must be positive"),
        ({"dose_limit": 0.5}, "dose_limit must be a whole number from 1 on, got 0.5"),
        ({"dose_limit": 0}, "dose_limit must be a whole number from 1 on, got 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Explorer(BOUNDS, **options)


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


def test_a_point_by_hand_outside_the_limits_is_known_and_not_suggested():
    explorer = Explorer(BOUNDS, labeler=one_regime)
    explorer.ingest([{"_id": "far", "sample_x": 30.0, "sample_y": 0.0, **KNOWN}])
    assert 0 <= explorer.suggest(1)[0]["sample_x"] <= 10
