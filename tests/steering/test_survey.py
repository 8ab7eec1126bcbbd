"""Fields that a policy uses, through the map and the terms of the explorer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from ainerd.knobs import Knob
from tests.explorer import Explorer

BOUNDS = {"x": (0.0, 20.0), "y": (0.0, 10.0)}


def halves(z):
    return (z[:, 0] > 10).astype(int)


def knows(positions, **options):
    """An explorer that found its x in every embedding."""
    explorer = Explorer(BOUNDS, labeler=halves, **options)
    points = enumerate(np.atleast_2d(positions))
    explorer.ingest([{"_id": str(i), "x": x, "y": y, "embedding": [x, 0.0]} for i, (x, y) in points])
    return explorer


def terms(explorer, x, y):
    (registered,) = explorer.register_suggestions([{"x": x, "y": y}])
    explorer.expect({}, {})
    return registered


def test_the_map_is_that_of_the_nearest_exposure():
    positions = np.random.default_rng(0).uniform([0, 0], [20, 10], (30, 2))
    drawn = knows(positions).map()
    x, y = np.meshgrid(drawn.axes["x"], drawn.axes["y"])
    nearest = np.linalg.norm(np.stack([x, y], -1)[..., None, :] - positions, axis=-1).argmin(-1)
    assert drawn.regime.shape == x.shape
    assert np.array_equal(drawn.regime, halves(positions)[nearest])
    assert (drawn.confidence >= 0).all() and (drawn.confidence <= 1).all()


def test_the_travel_time_is_asked_in_the_units_of_the_knobs():
    knobs = {"x": Knob(range=(0, 10), unit="mm", length=2.0), "t": Knob(range=(300, 400), unit="K", length=20.0)}
    asked = []

    def travel(here, there):
        asked.append((here, there))
        return np.abs(there - here) @ [1.0, 6.0]  # s for 1 mm and for 1 K

    bounds = {name: knob.range for name, knob in knobs.items()}
    explorer = Explorer(bounds, knobs=knobs, travel_time=travel, exposure_s=30.0)
    explorer.ingest([{"_id": "a", "x": 3.0, "t": 340.0, "embedding": np.zeros(2)}])
    (registered,) = explorer.register_suggestions([{"x": 7.0, "t": 345.0}])
    assert registered["travel"] == pytest.approx(34 / 64)
    here, there = asked[-1]
    assert here == pytest.approx([3, 340]) and there == pytest.approx(np.array([[7, 345]]))


def test_the_empty_radius_is_the_distance_to_the_nearest_exposure():
    assert terms(knows([[0.0, 0.0]]), 20.0, 10.0)["empty_radius"] == pytest.approx(np.hypot(20, 10))
    assert terms(knows([[-50.0, 0.0]]), 0.0, 0.0)["empty_radius"] == 50  # measured by hand, outside the bounds
    assert terms(knows([[5.0, 5.0], [15.0, 5.0]]), 8.0, 9.0)["empty_radius"] == pytest.approx(5)
    assert terms(Explorer(BOUNDS), 8.0, 9.0)["empty_radius"] == pytest.approx(np.hypot(20, 10), rel=0.05)  # all across


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 10)), min_size=1, max_size=25), st.floats(0, 20))
def test_terms_are_finite_and_chances_are_chances(points, x):
    values = terms(knows(points), x, 5.0)
    assert all(np.isfinite(values[term]) and values[term] >= 0 for term in Explorer.terms)
    assert all(values[term] <= 1 + 1e-6 for term in ("unexplored", "band", "travel", "unsearched"))


def test_a_wrong_travel_time_is_reported():
    with pytest.raises(ValueError, match="travel_time must give seconds"):
        knows([5.0, 5.0], travel_time=lambda a, b: -np.ones(len(b)), exposure_s=1.0).suggest(1)


@pytest.mark.parametrize("dose_limit", [1, 3])
def test_neighbours_agree_with_all_distances(dose_limit):
    rng = np.random.default_rng(dose_limit)
    visited = np.round(rng.uniform([0, 0], [20, 10], (200, 2)), 1)  # some of them twice at one place
    explorer = knows(visited, beam_size=0.5, dose_limit=dose_limit)
    survey = explorer.survey()
    asked = np.vstack([survey.window.nodes, rng.uniform([-1, -1], [21, 11], (300, 2))])
    apart = cdist(asked, visited)
    inside = ((asked >= [0, 0]) & (asked <= [20, 10])).all(1)
    assert np.array_equal(survey.may_measure(asked), inside & ((apart < (1 - 1e-6) * 0.5).sum(1) < dose_limit))
    nearest = apart[: len(survey.window.nodes)]
    assert survey.nearest == pytest.approx(nearest.min(1), rel=1e-12)
    near = 1 / np.stack([nearest[:, halves(visited) == k].min(1) for k in (0, 1)])
    sure = (near / near.sum(0)).max(0) * np.exp(-survey.gain)
    assert survey.map.confidence == pytest.approx(survey.window.image(sure), rel=1e-12)
    assert not len(survey.may_measure(np.empty((0, 2))))


def test_the_map_along_some_knobs_is_that_at_the_place_of_the_others():
    knobs = {
        "holder": Knob(values=(1, 2), apart=True),
        "x": Knob(range=(0, 20), unit="mm", length=2.0),
        "t": Knob(range=(300, 400), unit="K", length=20.0),
    }
    explorer = Explorer({name: knob.range for name, knob in knobs.items()}, knobs=knobs, labeler=halves)
    places = [(1, 2.0, 310.0), (1, 18.0, 390.0), (2, 2.0, 310.0), (2, 18.0, 390.0)]
    points = zip(places, (0.0, 20.0, 20.0, 0.0), strict=True)  # the two samples of the holder are unlike
    explorer.ingest([
        {"_id": str(i), "holder": holder, "x": x, "t": t, "embedding": [z, 0.0]}
        for i, ((holder, x, t), z) in enumerate(points)
    ])  # fmt: skip
    whole = explorer.map()
    assert "was measured at" not in explorer.suggest(1)[0]["reason"]
    for holder, corner in ((1, 0), (2, 1)):  # each sample has a map of its own
        part = whole.along(["t", "x"], {"holder": holder})
        assert list(part.axes) == ["t", "x"] and part.regime.shape == (len(part.axes["x"]), len(part.axes["t"]))
        assert part.regime[0, 0] == corner and part.regime[-1, -1] == 1 - corner
    line = whole.along(["x"], {"holder": 2, "t": 390.0})
    assert line.regime.shape == line.axes["x"].shape and line.regime[-1] == 0
    assert np.array_equal(whole.along(["holder", "x", "t"], {}).regime, whole.regime)


def test_the_first_exposure_of_a_sample_of_a_holder_says_so():
    knobs = {"holder": Knob(values=(1, 2), apart=True), "x": Knob(range=(0, 20), unit="mm", length=2.0)}
    explorer = Explorer({name: knob.range for name, knob in knobs.items()}, knobs=knobs)
    first, second = explorer.suggest(2)
    assert second["holder"] != first["holder"]
    assert second["reason"] == f"the first point at holder = {second['holder']:g}"
