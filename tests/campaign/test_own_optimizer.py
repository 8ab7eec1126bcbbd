"""A technique that chooses positions itself: suggest and ingest are enough."""

from pathlib import Path

import numpy as np
import pytest
from campaign_toys import Toy, on, outcome

from ainerd.results.commands import Add, Exclude, Reject, SetBounds

SHOWN = Path(__file__).parents[2] / "docs/how-to/files/optimizers"


class Line:
    """Along x, and out of bounds after ten."""

    def __init__(self):
        self.x, self.points = 0.0, []

    def suggest(self, num_points=None):
        points = []
        for _ in range(num_points or 1):
            self.x += 1.0
            points.append({"x": self.x, "y": np.float32(5.0), "gain": np.float32(0.5), "how": "along x"})
        return points

    def ingest(self, points):
        self.points += points


class Full(Line):
    """With more of bluesky-adaptive."""

    def __init__(self):
        super().__init__()
        self.failed = []

    def suggest(self, num_points=None):
        return [{**p, "_id": i, "reason": "next"} for i, p in enumerate(super().suggest(num_points))]

    def get_best_points(self):
        return [("a", {"x": 1.0}, {"p": 0.1})]

    def register_suggestions(self, suggestions):
        return [{**s, "_id": "registered"} for s in suggestions]

    def register_failures(self, suggestions):
        self.failed += suggestions

    def should_stop(self):
        return True, None


class Broken(Line):
    def fail(self, *_):
        raise RuntimeError("no model")

    ingest = should_stop = register_suggestions = register_failures = fail


@pytest.fixture
def steered(make):
    """A campaign whose technique brings an optimizer."""

    def steered(optimizer):
        technique = Toy()
        technique.optimizer = lambda bounds: optimizer
        return make(technique=technique)

    return steered


def test_suggest_and_ingest_are_enough(steered, store):
    line = Line()
    campaign = steered(line)
    ready = campaign.peek().point
    assert (ready["x"], ready["y"], ready["gain"]) == (1.0, 5.0, 0.5) and "how" not in ready
    assert store.saved[ready["_id"]].terms == {"gain": 0.5} and "technique toy" in ready["reason"]
    (accepted,) = campaign.suggest(1)
    campaign.answer(outcome("result", 1.0, 5.0, trial_id=accepted["_id"], novelty_p=0.01, novel=True))
    (point,) = line.points
    assert point["_id"] == accepted["_id"] and point["x"] == 1.0 and point["novel"] and point["embedding"].shape == (2,)
    campaign.answer(outcome("dark", 2.0, 5.0, z=None))
    assert len(line.points) == 1  # of a failed exposure it is not told
    assert campaign.map() is None and campaign.get_best_points() == []
    assert campaign.should_stop() == (False, "the optimizer of technique toy does not say when to stop")


def test_forbidden_positions_are_never_suggested(steered):
    campaign = steered(Line())
    campaign.apply(Exclude(region={"x": (2.5, 5.5)}))
    assert campaign.peek().point["x"] == 1.0
    assert [suggestion["x"] for suggestion in campaign.suggest(4)] == [1.0, 2.0, 6.0, 7.0]
    assert campaign.suggest(1)[0]["x"] == 8.0
    campaign.apply(SetBounds(bounds={"x": (0.0, 9.5), "y": (0.0, 10.0)}))
    assert campaign.suggest(1)[0]["x"] == 9.0
    with pytest.raises(ValueError, match=r"technique toy suggested no position that may be measured, in \d+ tries"):
        campaign.peek()
    campaign.answer(outcome("by hand"))
    assert "lies in an excluded region" in campaign.apply(Add(position={"x": 3.0, "y": 5.0})).text
    assert campaign.apply(Add(position={"x": 2.0, "y": 5.0}, why="a scratch")).suggestion.reason == "a scratch"


def test_further_methods_are_used(steered):
    full = Full()
    campaign = steered(full)
    assert [(s["_id"], s["reason"]) for s in campaign.suggest(2)] == [("0", "next"), ("0", "next")]
    assert campaign.register_suggestions([{"x": 1.0, "y": 1.0}])[0]["_id"] == "registered"
    campaign.answer(outcome("dark", z=None))
    assert [failed["_id"] for failed in full.failed] == ["dark"] and full.points == []
    assert campaign.should_stop() == (True, "the optimizer of technique toy says stop")
    assert campaign.get_best_points() == [("a", {"x": 1.0}, {"p": 0.1})]


def test_an_optimizer_that_raises_costs_no_result_and_ends_no_plan_and_no_command(steered, caplog):
    campaign = steered(broken := Broken())
    (first,) = campaign.suggest()
    campaign.register_failures([first])  # as a plan does whose exposure failed
    assert campaign.apply(on(Reject, campaign.peek().point, why="a bubble")).status == "done"
    assert campaign.answer(outcome("by hand")).regime == 0
    for what in ("failures", "results"):
        assert f"technique toy did not accept the {what}" in caplog.text
    added = campaign.apply(Add(position={"x": 2.0, "y": 5.0}))
    assert added.text == "the optimizer of technique toy failed to take a point: RuntimeError: no model"
    broken.suggest = broken.fail
    with pytest.raises(ValueError, match="technique toy failed to suggest a position: RuntimeError: no model"):
        campaign.suggest(2)
    assert "RuntimeError: no model" in campaign.should_stop()[1]


def test_an_incomplete_suggestion_is_reported(steered):
    line = Line()
    line.suggest = lambda n=None: [{"x": 1.0}]
    with pytest.raises(ValueError, match="failed to suggest a position: ValueError: .*has no y"):
        steered(line).peek()
    with pytest.raises(ValueError, match=r"the optimizer of technique toy, a object, has no suggest\(\)"):
        steered(object())


def nearest(survey):
    """A policy in one file."""
    seconds = np.where(survey.is_open, survey.travel_s, np.inf)
    return survey.window.nodes[seconds.argmin()], "the nearest place"


class Along(Line):
    def __init__(self, bounds):
        super().__init__()
        self.x = bounds["x"][0]


def test_a_policy_is_chosen_by_name(make):
    assert "Sobol" in make(policy="sobol").peek().point["reason"]
    assert make(policy=f"{__name__}:nearest").peek().point["reason"] == "the nearest place"
    suggestion = make(policy=f"{__name__}:Along").peek()
    assert suggestion.position == {"x": 1.0, "y": 5.0} and "Along" in suggestion.reason


@pytest.mark.filterwarnings("ignore")  # of the fits of Ax and gpCAM
@pytest.mark.parametrize(("policy", "n"), [("gpcam_policy:GpcamPolicy", 12), ("ax_policy:AxPolicy", 8)])
def test_optimizers_of_others_learn_and_respect_exclusions(make, importable, caplog, policy, n):
    importable(SHOWN)
    campaign, way = make(policy=policy), []
    campaign.apply(Exclude(region={"x": (4.0, 10.0), "y": (0.0, 5.0)}))
    for i in range(n):
        (here,) = campaign.suggest(1)
        way.append((here["x"], here["y"]))
        z = None if i == 2 else float(here["x"] > 7) + 0.01 * i
        campaign.answer(outcome(str(i), *way[-1], z=z, trial_id=here["_id"]))
    assert len({*way}) == n and all(0 <= x <= 10 and 0 <= y <= 10 for x, y in way)
    assert not any(x >= 4 and y <= 5 for x, y in way)
    assert not caplog.records  # errors of an optimizer are logged


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("r2", "'r2' is not one of new_regimes, levels, sobol, raster"),
        ("nowhere:policy", "'nowhere:policy' cannot be loaded: ModuleNotFoundError"),
        (f"{__name__}:SHOWN", "is not a function"),
    ],
)
def test_an_unknown_policy_is_refused_in_one_line(make, policy, message):
    with pytest.raises(ValueError, match=f"steering.policy: .*{message}"):
        make(policy=policy)
