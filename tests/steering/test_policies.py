"""Policies, and exploration with several knobs."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import qmc

from ainerd.knobs import Knob
from ainerd.steering import POLICIES, Exposures, Search, propose
from tests.explorer import Explorer

MM = {"range": (0.0, 10.0), "unit": "mm", "length": 1.0}
SLOW = {"range": (300.0, 400.0), "unit": "K", "length": 20.0, "speed": 1.0, "settle_s": 300.0}


def explorer_of(policy="new_regimes", travel=None, **knobs):
    knobs = {name: Knob(**knob) for name, knob in knobs.items()}
    bounds = {name: knob.range for name, knob in knobs.items()}
    return Explorer(bounds, knobs=knobs, policy=POLICIES[policy], travel_time=travel, exposure_s=travel and 60.0)


def way_of(explorer, n, embed=lambda position: np.zeros(2)):
    """Positions (n, d) of a campaign."""
    way = []
    for _ in range(n):
        (suggestion,) = explorer.suggest(1)
        way.append([suggestion[name] for name in explorer.names])
        explorer.ingest([{"_id": suggestion["_id"], "embedding": embed(way[-1])}])
    return np.array(way)


def no_time(a, b):
    return np.zeros(len(b))


def test_sobol_takes_the_points_of_the_sequence_in_turn():
    expected = 10 * qmc.Sobol(2, seed=0).random(16)
    assert np.allclose(way_of(explorer_of("sobol", x=MM, y=MM), 16), expected)


def test_a_raster_runs_to_and_fro_and_misses_no_region_of_one_length():
    explorer, way = explorer_of("raster", x=MM, y=MM), []
    with pytest.raises(ValueError, match="no position is left"):
        while True:
            way += [*way_of(explorer, 1)]
    way = np.array(way)
    fine = np.stack(np.meshgrid(*[np.linspace(0, 10, 101)] * 2), -1).reshape(-1, 2)
    assert cdist(fine, way).min(1).max() <= 1.0
    assert np.linalg.norm(np.diff(way, axis=0), axis=1).max() < 1.5  # no long way back


def test_units_do_not_matter_only_lengths_do():
    regime = lambda scale: lambda at: np.array([at[0] > 4, at[1] / scale > 350.0], float)  # noqa: E731
    plain = way_of(explorer_of(x=MM, t=SLOW, travel=no_time), 12, regime(1))
    milli = {name: np.multiply(SLOW[name], 1000).tolist() for name in ("range", "length", "speed")}
    scaled = way_of(explorer_of(x=MM, t=SLOW | milli, travel=no_time), 12, regime(1000))
    assert np.allclose(plain, scaled / [1, 1000])


def test_a_slow_knob_is_changed_seldom():
    here = explorer_of("levels", x=MM, y=MM, temperature=SLOW, travel=no_time)
    temperatures = way_of(here, 30)[:, 2]
    free = way_of(explorer_of(x=MM, y=MM, temperature=MM, travel=no_time), 30)[:, 2]
    assert 1 <= np.count_nonzero(np.diff(temperatures)) <= 6 < np.count_nonzero(np.diff(free))


@pytest.mark.parametrize("policy", ["new_regimes", "levels"])
def test_no_part_of_the_only_way_of_a_knob_is_left_out(policy):
    temperature = way_of(explorer_of(policy, x=MM, t=SLOW | {"direction": "up"}), 25)[:, 1]
    assert temperature[0] <= 320 and (np.diff(temperature) <= 20 + 1e-3).all()  # a length is 20 K


def test_levels_wants_a_knob_with_a_cost():
    with pytest.raises(ValueError, match="needs a knob with a cost"):
        explorer_of("levels", x=MM, y=MM).suggest(1)


def surveyed():
    """The survey of two regimes and a novel exposure, with a temperature that is slow."""
    explorer = explorer_of("levels", x=MM, t=SLOW, travel=no_time)
    explorer._labeler = lambda z: z[:, 0].astype(int)
    rng = np.random.default_rng(0)
    places = np.column_stack([rng.uniform(0, 10, 12), 310 + 5.0 * np.sort(rng.integers(0, 3, 12))])
    places[3] = 5.0, 365.0  # alone
    points = [
        {"_id": str(i), "x": x, "t": t, "embedding": [x > 4, 0.0], "novelty_p": 0.001 if i == 3 else 0.5}
        for i, (x, t) in enumerate(places.tolist())
    ]
    points[3]["embedding"] = [7, 0.0]
    explorer.ingest(points)
    return explorer.survey()


def test_the_level_is_the_one_with_the_most_worth_per_second():
    survey = surveyed()
    worth = survey.gain * (1 + survey.boundary) + survey.confirmation
    assert survey.worth == pytest.approx(worth) and survey.confirmation.max() > 0.1
    assert 0.5 < survey.boundary.max() <= 1  # half way between two regimes
    at = survey.window.nodes[:, 1]
    now = at[np.abs(survey.window.nodes - survey.visited[-1]).sum(1).argmin()]
    for exposure_s in (60.0, 1.0, 1e4):  # short: it stays; long: the change counts little
        survey, rates = replace(survey, exposure_s=exposure_s), {}
        for level in np.unique(at[survey.is_open]):
            here = survey.is_open & (at == level)
            best = sorted(survey.worth[here], reverse=True)[: 1 if level == now else 16]
            rates[level] = sum(best) / (survey.travel_s[here].min() + len(best) * exposure_s)
        position, _ = POLICIES["levels"](survey)
        assert position[1] == pytest.approx(max(rates, key=rates.get))


def test_the_best_node_has_the_most_worth_per_second_of_exposure_and_travel():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        explorer = Explorer(
            {"x": (0.0, 10.0), "y": (0.0, 5.0)}, labeler=lambda z: z[:, 0].astype(int), seed=seed,
            travel_time=lambda a, b: 20 * np.abs(b - a).max(1), exposure_s=30.0,
        )  # fmt: skip
        explorer.ingest([
            {"_id": str(i), "x": x, "y": y, "embedding": [x > 5, 0.0]}
            for i, (x, y) in enumerate(rng.uniform(0, [10, 5], (9, 2)).tolist())
        ])  # fmt: skip
        survey = explorer.survey()
        rate = survey.worth / (30.0 + survey.travel_s)
        position, _ = POLICIES["new_regimes"](survey)
        node = np.abs(survey.window.nodes - position).sum(1).argmin()
        assert rate[node] >= (1 - 1e-5) * rate[survey.is_open].max()


def test_reasons_differ_where_causes_differ_and_use_the_names_of_regimes():
    """On a sample with an inclusion: by an independent look at the map, which of the causes holds."""
    exposures, reasons = Exposures(["x", "y"], size=2), []
    rules = replace(Search.of({"x": (0, 10), "y": (0, 10)}, smallest_feature=1.0, unit="mm"), names={1: "gel"})
    for k in range(18):
        suggestion = propose(exposures, (), (), rules)
        (x, y), (cause, _, guess) = suggestion.position.values(), suggestion.reason.partition("; probably ")
        nearest = min((np.hypot(x - a, y - b) for a, b in exposures["position"]), default=np.inf)
        if cause == "between two regimes":
            assert guess in ("regime 0 or regime 1 (gel)", "regime 1 (gel) or regime 0")
        elif k:
            assert guess in ("regime 0", "regime 1 (gel)", "regime 0 or regime 1 (gel)")
        if distance := re.search(r"([\d.]+) mm", cause):
            assert abs(float(distance[1]) - nearest) < 0.06
        reasons.append(cause.partition(" mm")[0].rstrip("0123456789. "))
        exposures.add(str(k), suggestion.position, [0, 0], regime=int(np.hypot(x - 6, y - 7) < 2))
    assert len(set(reasons)) > 4 and max(map(reasons.count, reasons)) < 9
