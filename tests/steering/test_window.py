import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from ainerd.knobs import Knob
from ainerd.steering import Window
from ainerd.words import place

LOW_HIGH = st.tuples(st.floats(-50, 50), st.floats(0.1, 80)).map(lambda x: (x[0], x[0] + x[1]))


@settings(max_examples=30, deadline=None)
@given(limits=st.lists(LOW_HIGH, min_size=1, max_size=3), seed=st.integers(0, 99))
def test_the_node_of_a_position_is_the_nearest_one(limits, seed):
    window = Window({f"axis_{i}": pair for i, pair in enumerate(limits)})
    positions = np.random.default_rng(seed).uniform(window.low, window.high, (20, len(limits)))
    apart = cdist(positions, window.nodes)
    own = apart[np.arange(20), window.nearest_node(positions)]
    assert np.allclose(own, apart.min(1), rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(boxes=st.lists(st.tuples(LOW_HIGH, LOW_HIGH), max_size=3))
def test_positions_outside_all_boxes_are_free(boxes):
    window = Window({"x": (-50.0, 50.0), "y": (-50.0, 50.0)}, [{"x": x, "y": y} for x, y in boxes])
    for (x, y), free in zip(window.nodes[::37], window.allowed[::37], strict=True):
        assert free == (not any(a <= x <= b and c <= y <= d for (a, b), (c, d) in boxes))


@pytest.mark.parametrize(
    ("bounds", "excluded", "message"),
    [
        ({}, [], "empty"),
        ({"x": (0.0, np.inf)}, [], "'x' have no width"),
        ({"x": (0.0, 1.0)}, [{"y": (0.0, 1.0)}], "needs limits of x"),
        ({"x": (0.0, 1.0)}, [{"x": (1.0, 0.0)}], "wrong way round"),
    ],
)
def test_invalid_windows_are_refused(bounds, excluded, message):
    with pytest.raises(ValueError, match=message):
        Window(bounds, excluded)


KNOBS = {
    "holder": Knob(values=(1, 2, 5), apart=True),
    "x": Knob(range=(-2, 18), unit="mm", length=2.0),
    "t": Knob(range=(300, 400), unit="K", length=20.0, direction="down"),
}


def test_lengths_set_the_scale_and_samples_of_a_holder_lie_far_from_each_other():
    window = Window({name: knob.range for name, knob in KNOBS.items()}, knobs=KNOBS)
    assert window.width == 10 and window.units == {"holder": "", "x": "mm", "t": "K"}
    assert (window.high - window.low)[1:] == pytest.approx([10, 5]) and window.low[1:] == pytest.approx([-1, 15])
    assert np.diff(window.axes[0]) == pytest.approx([1000, 3000])  # a hundred widths for the smallest step
    n = [len(x) for x in window.axes]
    assert len(window.nodes) == pytest.approx(1600, rel=0.05) and n[1] / n[2] == pytest.approx(2, abs=0.1)
    assert window.cell == pytest.approx([0, 10 / n[1], 5 / n[2]])
    assert window.grid["holder"] == pytest.approx([1, 2, 5]) and window.grid["t"][0] == pytest.approx(300 + 50 / n[2])
    there = window.position(np.array([2.0, 3.0, 340.0]))
    assert window.coordinates(there) == pytest.approx([2, 3, 340])
    assert window.text(there) == place({"holder": 2.0, "x": 3.0, "t": 340.0}, window.units)
    assert window.length(0.123) == "0.12 lengths" and Window({"x": (0, 1)}, unit="mm").length(0.123) == "0.12 mm"
    assert window.on_new_sample(there, 999.0) == "" and window.on_new_sample(there, 1000.0) == "holder = 2"


def test_points_of_the_unit_cube_are_spread_over_limits_and_values():
    window = Window({name: knob.range for name, knob in KNOBS.items()}, knobs=KNOBS)
    unit = np.array([[0.0, 0.0, 1.0], [0.34, 0.5, 0.25], [0.66, 1.0, 0.0], [0.67, 0.1, 0.0], [1.0, 0.0, 0.0]])
    spread = window.coordinates(window.spread(unit))
    assert spread == pytest.approx(np.array([[1, -2, 400], [2, 8, 325], [2, 18, 300], [5, 0, 300], [5, -2, 300]]))


def test_a_one_way_knob_goes_on_by_a_length_or_a_node_at_most():
    window = Window({name: knob.range for name, knob in KNOBS.items()}, knobs=KNOBS)

    def at(*t):
        return window.position(np.array([[1.0, 0.0, x] for x in t]))

    visited = at(390, 370, 380)  # 370 was reached; a length is 20
    asked = at(400, 370.2, 370, 360, 350.2, 349.8, 300)
    assert window.onward(asked, visited).tolist() == [False, False, True, True, True, True, True]
    assert window.skips(asked, visited).tolist() == [False] * 5 + [True] * 2
    assert window.onward(asked, visited[:0]).all()
    assert window.skips(asked, visited[:0]).tolist() == [False] * 1 + [True] * 6  # it begins at 400
    few = {"t": Knob(values=(300, 360, 400), length=20.0, direction="up"), "x": KNOBS["x"]}
    window = Window({name: knob.range for name, knob in few.items()}, knobs=few)
    asked = window.position(np.array([[300.0, 0], [360, 0], [400, 0]]))
    assert window.skips(asked, asked[:0]).tolist() == [False, False, True]  # the next value is no gap
    assert window.skips(asked, asked[1:2]).tolist() == [False, False, False]
    assert window.onward(asked, asked[1:2]).tolist() == [False, True, True]


def test_a_position_is_refused_with_the_reason():
    window = Window({name: knob.range for name, knob in KNOBS.items()}, [{"x": (3.0, 4.0)}], knobs=KNOBS)

    def objection(*place):
        return window.objection(window.position(np.array(place)))

    assert objection(1.0, 18.0, 300.0) is None and objection(5.0, -2.0, 400.0) is None
    assert "lies outside the bounds" in objection(1.0, 18.1, 300.0)
    assert objection(4.0, 0.0, 300.0) == "holder = 4 is not one of its values, 1, 2, 5"
    assert objection(2.0, 3.5, 300.0).endswith("lies in an excluded region")
    with pytest.raises(ValueError, match="contain none of its values"):
        Window({"holder": (2.5, 4.5), "x": (0, 1), "t": (300, 400)}, knobs=KNOBS)
    part = Window({"holder": (1.5, 6.0), "x": (0, 1), "t": (300, 400)}, knobs=KNOBS)
    assert part.grid["holder"] == pytest.approx([2, 5])


def test_a_position_has_the_unit_of_each_knob():
    knobs = {"x": Knob(range=(0, 10), length=1), "temperature": Knob(range=(300, 320), length=5, unit="K")}
    window = Window({name: each.range for name, each in knobs.items()}, unit="mm", knobs=knobs)
    assert window.units == {"x": "mm", "temperature": "K"}
