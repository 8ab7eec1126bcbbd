import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from ainerd.steering import Window

LOW_HIGH = st.tuples(st.floats(-50, 50), st.floats(0.1, 80)).map(lambda x: (x[0], x[0] + x[1]))


@settings(max_examples=30, deadline=None)
@given(limits=st.lists(LOW_HIGH, min_size=1, max_size=3), seed=st.integers(0, 99))
def test_the_node_of_a_position_is_the_nearest_one(limits, seed):
    window = Window({f"axis_{i}": pair for i, pair in enumerate(limits)})
    positions = np.random.default_rng(seed).uniform(window.low, window.high, (20, len(limits)))
    apart = cdist(positions, window.nodes)
    own = apart[np.arange(20), window.nearest_node(positions)]
    assert np.allclose(own, apart.min(1), rtol=1e-9, atol=1e-9)


def test_a_position_beyond_the_limits_counts_to_the_nearest_node():
    window = Window({"x": (0.0, 1.0), "y": (0.0, 1.0)})
    corner = window.nodes[window.nearest_node(np.array([[5.0, -3.0]]))[0]]
    assert np.array_equal(corner, [window.axes[0][-1], window.axes[1][0]])


@settings(max_examples=30, deadline=None)
@given(boxes=st.lists(st.tuples(LOW_HIGH, LOW_HIGH), max_size=3))
def test_positions_outside_all_boxes_are_free(boxes):
    window = Window({"x": (-50.0, 50.0), "y": (-50.0, 50.0)}, [{"x": x, "y": y} for x, y in boxes])
    for (x, y), free in zip(window.nodes[::37], window.allowed[::37], strict=True):
        assert free == (not any(a <= x <= b and c <= y <= d for (a, b), (c, d) in boxes))


def test_an_actuator_that_a_box_leaves_out_is_not_limited():
    window = Window({"x": (0.0, 10.0), "y": (0.0, 10.0)}, [{"x": (2.0, 3.0)}])
    assert np.array_equal(window.allowed, (window.nodes[:, 0] < 2) | (window.nodes[:, 0] > 3))


def test_the_first_actuator_runs_along_the_last_axis_of_an_image():
    window = Window({"x": (0.0, 20.0), "y": (0.0, 10.0)})
    x = window.image(window.nodes[:, 0])
    assert x.shape == (len(window.axes[1]), len(window.axes[0]))
    assert np.array_equal(x[0], window.axes[0])


def test_the_edge_is_the_distance_to_the_nearest_limit():
    window = Window({"x": (0.0, 4.0), "y": (-1.0, 1.0)})
    x, y = window.nodes.T
    assert np.allclose(window.edge, np.min([x, 4 - x, y + 1, 1 - y], axis=0))


@pytest.mark.parametrize(
    ("bounds", "excluded", "message"),
    [
        ({}, [], "empty"),
        ({"x": (1.0, 1.0)}, [], "'x' have no width"),
        ({"x": (0.0, np.nan)}, [], "no width"),
        ({"x": (0.0, np.inf)}, [], "no width"),
        ({"x": (0.0, 1.0)}, [{"y": (0.0, 1.0)}], "takes limits of x"),
        ({"x": (0.0, 1.0)}, [{}], "takes limits of x"),
        ({"x": (0.0, 1.0)}, [{"x": (1.0, 0.0)}], "wrong way round"),
    ],
)
def test_invalid_windows_are_refused(bounds, excluded, message):
    with pytest.raises(ValueError, match=message):
        Window(bounds, excluded)
