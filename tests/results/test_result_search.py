"""Numbers are numbers: in the store on any server, in Tiled where comparisons are."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tiled.queries import Key

from ainerd.results._columns import Columns
from ainerd.results._search import matches

NUMBERS = [
    -1e-5,
    1e-5,
    1.2345e-10,
    -4.0,
    0.05,
    9.5,
    10.0,
    100.0,
    3.0,
    -3.0,
    1e20,
    0.1 + 0.2,
    1 / 3,
    0.0,
    1790000000.125,
]


@pytest.fixture
def numbers(ainerd, record):
    for i, x in enumerate(NUMBERS):
        made = record(status="complete", embedding=[0.0], scan_id=i, summary={"x": x})
        ainerd["results"].create_container(made.key, metadata=made.metadata())
    return ainerd["results"]


def test_numbers_are_compared_as_numbers_but_tiled_sorts_them_as_text(store, numbers):
    for limit in (0, -1, 1e-5, -1e-5, 9.6, 1 / 3):
        for found, wanted, tiled in (
            (store.search(x=(limit, None)), [x >= limit for x in NUMBERS], Key("x") >= limit),
            (store.search(x=(None, limit)), [x <= limit for x in NUMBERS], Key("x") <= limit),
            (store.search(x=limit), [x == limit for x in NUMBERS], Key("x") == limit),
        ):
            expected = set(np.flatnonzero(wanted))
            assert set(found["scan_id"]) == expected
            assert {node.metadata["scan_id"] for node in numbers.search(tiled).values()} == expected
    # the one limit that the page on queries states
    in_tiled = [node.metadata["x"] for node in numbers.sort(("x", 1)).values()]
    assert in_tiled != sorted(NUMBERS) and sorted(in_tiled) == sorted(NUMBERS)
    assert store.table()["x"].sort_values().to_list() == sorted(NUMBERS)


def test_a_range_has_two_limits(store):
    with pytest.raises(ValueError, match=r"x=\(1, 2, 3\) is no range"):
        store.search(x=(1, 2, 3))


@pytest.mark.parametrize(
    "where, fits",
    [
        ({"x": (1, 3)}, True),
        ({"x": (2.5, None)}, False),
        ({"x": 2}, True),
        ({"x": "2"}, False),
        ({"flag": (0, 2)}, False),
        ({"flag": True}, True),
        ({"name": (0, None)}, False),
        ({"name": ("a", "f")}, True),
        ({"model.name": "pca"}, True),
        ({"model.name.first": "pca"}, False),
        ({"absent": (None, None)}, False),
        ({"absent": None}, False),
        ({"time": (datetime(1970, 1, 1, tzinfo=UTC), datetime.fromtimestamp(99, UTC) + timedelta(seconds=2))}, True),
        ({"time": (datetime.fromtimestamp(101, UTC), None)}, False),
    ],
)
def test_what_fits(where, fits):
    said = {"x": 2.0, "flag": True, "name": "echo", "model": {"name": "pca"}, "time": 100}
    assert matches(Columns.of({"key": said}), where).tolist() == [fits]


def test_words_are_looked_for_in_texts_only():
    said = {"reason": "no frames: Shutter-closed", "n_frames": 7, "model": {"name": "pca"}, "positions": ["sample_x"]}
    for text in ("shutter closed", "CLOSED", "frames, shutter", "pca sample_x"):
        assert matches(Columns.of({"key": said}), {}, text).all()
    for text in ("reason", "7", "n_frames", "open"):
        assert not matches(Columns.of({"key": said}), {}, text).any()
