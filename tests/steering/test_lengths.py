"""Lengths of knobs that are learned from regimes, on samples whose regions are known to be long along one knob."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ainerd.knobs import Knob
from ainerd.steering import Candidate, Course, Explorer, Following
from ainerd.steering._lengths import n_compared, stretch

NONE = np.zeros(2, bool)


def cells(seed, n, aspect, size=10.0):
    """Positions, and the kinds of cells that are `aspect` times as long in x as in y."""
    rng = np.random.default_rng(seed)
    seeds, kinds = rng.uniform(0, size, (12, 2)), rng.integers(0, 3, 12)
    x = rng.uniform(0, size, (n, 2))
    apart = (x[:, None] - seeds) / [aspect**0.5, aspect**-0.5]
    return x, kinds[np.square(apart).sum(-1).argmin(1)]


def ratios(n, aspect):
    return [float(np.divide(*stretch(*cells(seed, n, aspect), NONE))) for seed in range(20)]


def test_the_knob_along_which_regions_are_long_gets_the_longer_length():
    assert np.median(ratios(60, 1.0)) == pytest.approx(1, abs=0.2)
    assert np.median(ratios(60, 4.0)) > 1.4
    assert np.mean(np.array(ratios(60, 4.0)) > 1) >= 0.9


def test_few_exposures_and_one_regime_tell_nothing():
    x, kind = cells(0, 40, 4.0)
    assert stretch(x[:11], kind[:11], NONE).tolist() == stretch(x, 0 * kind, NONE).tolist() == [1, 1]
    assert [n_compared(n) for n in (11, 12, 14, 15)] == [0, 12, 12, 15]


def test_the_product_stays_and_the_start_value_bounds_the_factors():
    x = np.random.default_rng(0).uniform(0, 10, (200, 2))
    factors = stretch(x, (x[:, 1] // 1).astype(int), NONE)
    assert np.prod(factors) == pytest.approx(1) and 1.5 < factors[0] <= 4


def test_only_exposures_of_one_sample_of_a_holder_are_compared():
    x, kind = cells(1, 60, 4.0)
    holder = np.repeat([1.0, 2.0], 30)
    both = np.column_stack([holder, x])
    other = np.where(holder == 2, kind + 10, kind)  # the other sample has regimes of its own
    factors = stretch(both, other, np.array([True, False, False]))
    assert factors[0] == 1 and factors[1] * factors[2] == pytest.approx(1)
    first = stretch(both[:30], other[:30], np.array([True, False, False]))
    assert first[1:] == pytest.approx(stretch(x[:30], kind[:30], NONE))


@pytest.mark.parametrize("direction", ["any", "up"])
def test_an_explorer_learns_lengths_but_neither_the_beam_nor_the_stopping_rule_changes(direction):
    knobs = {
        "x": Knob(range=(0, 10), unit="mm", length=1.0, direction=direction),
        "t": Knob(range=(300, 500), unit="K", length=20.0),
    }
    bounds = {name: knob.range for name, knob in knobs.items()}
    explorer = Explorer(bounds, knobs=knobs, labeler=lambda z: z[:, 0].astype(int), beam_size=0.5)
    assert explorer.lengths == {"x": 1.0, "t": 20.0}
    x, _ = cells(0, 60, 1.0)
    x = x[np.argsort(x[:, 0])]
    points = [
        {"_id": str(i), "x": x, "t": 300 + 20 * y, "embedding": [y // 2, 0.0]} for i, (x, y) in enumerate(x.tolist())
    ]
    explorer.ingest(points)
    before = explorer.should_stop()
    explorer.map()
    assert explorer.should_stop() == before
    if direction == "any":
        assert explorer.lengths["x"] > 1.3 and explorer.lengths["t"] < 16
        assert explorer.lengths["x"] * explorer.lengths["t"] == pytest.approx(20)
    else:
        assert explorer.lengths["x"] == 1.0  # steps of a knob that goes one way do not become longer
    survey = explorer._survey()
    beside = survey.window.position(np.array([[*point] for point in ((p["x"] + 0.4, p["t"]) for p in points[-1:])]))
    assert not survey.may_measure(beside).any()
    explorer.bounds = {"x": (0.0, 8.0), "t": (300.0, 500.0)}  # learned lengths stay
    assert explorer._survey().hidden.window.nodes == pytest.approx(explorer.window.nodes / explorer._stretch)


def test_beliefs_are_those_of_a_sample_whose_lengths_are_the_learned_ones():
    knobs = {"x": Knob(range=(0, 10), length=1.0), "t": Knob(range=(300, 500), length=20.0)}
    explorer = Explorer(
        {name: knob.range for name, knob in knobs.items()}, knobs=knobs, labeler=lambda z: z[:, 0].astype(int)
    )
    x, _ = cells(0, 60, 1.0)
    lone = np.sort(cdist(x, x))[:, 1].argmax()
    for i, (at, y) in enumerate(x.tolist()):
        point = {"_id": str(i), "x": at, "t": 300 + 20 * y, "age_s": 60.0 * (i + 1), "embedding": [y // 2, 0.0]}
        explorer.ingest([point | {"novelty_p": 0.001, "embedding": [9, 0.0]} if i == lone else point])
    explorer.following = Following(courses=(Course((3, 4), "age"),), changes=(((0, 1), 3000.0, 9000.0),))
    explorer.candidates = [Candidate({"x": 4.2, "t": 371.0}, 0.001, "xtec")]
    survey = explorer._survey()
    assert survey.stretch[0] > 1.3 > 0.8 > survey.stretch[1] and len(survey.unsure) == len(survey.theirs) == 1
    places = ("visited", "labelled", "unsure", "theirs", "at_change")
    alike = replace(
        survey,
        window=survey.hidden.window,
        stretch=np.ones(2),
        **{name: getattr(survey, name) / survey.stretch for name in places},
    )
    for name in "nearest chances boundary inclusions layers gain confirmation novel_to_others changed due".split():
        assert np.any(getattr(survey, name)), name
        assert getattr(survey, name) == pytest.approx(getattr(alike, name), rel=1e-4, abs=1e-9), name
    assert [survey.regimes_beside(k) for k in range(0, 999, 50)] == [alike.regimes_beside(k) for k in range(0, 999, 50)]
