"""Positions beside a path: at its border and in its holes; and candidates of other techniques."""

from types import SimpleNamespace

import numpy as np
import pytest

from ainerd.knobs import Knob
from ainerd.steering import Candidate, Explorer, Survey
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
    explorer.paths = [(0, 1, 2)]
    first, second, third = borders()
    assert max(first, second) < 0.45 and third > 0.5
    assert set(np.unique(explorer.map().regime)) == {0, 1, 2, 3}  # the map shows regimes


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

    def in_holes(holes, visited):
        return Survey.in_hole.func(SimpleNamespace(holes=holes, window=SimpleNamespace(nodes=nodes), visited=visited))

    depth = [0, 0, 0.25, 0.5, 0, 0.25, 0.375, 0.025, 0, 0]  # the hole is 8 wide, and 6 was measured
    assert in_holes([(0, 2.0, 10.0)], visited) == pytest.approx(depth)
    assert in_holes([(1, 2.0, 10.0), (0, 8.0, 10.0)], visited) == pytest.approx([*[0] * 6, 0.5, 0.1, 0, 0])
    both = in_holes([(1, -1.0, 1.0), (0, 2.0, 10.0)], np.empty((0, 2)))
    assert both == pytest.approx([1] * 10)  # the middle of another knob's hole
    assert not in_holes([], visited).any()
