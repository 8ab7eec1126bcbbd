"""Positions and times as people read them."""

import math
import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ainerd.words import coordinate, here, named_place, place, rendered, rounded


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.0, "0.00"), (-12.3456, "-12.35"), (0.5231, "0.523"), (0.00412, "0.00412"), (3.3e-7, "3.30e-07"),
        (math.nan, "nan"),
    ],
)  # fmt: skip
def test_a_coordinate_has_two_decimals_and_three_digits(x, text):
    assert coordinate(x) == text


@pytest.mark.parametrize(
    ("x", "digits", "text"), [(99.6, 2, "100"), (9996, 3, "10000"), (0.0123, 2, "0.012"), (math.nan, 3, "nan")]
)
def test_a_rounded_number_has_no_power_of_ten_where_digits_are_shorter(x, digits, text):
    assert rounded(x, digits) == text


def test_a_notebook_shows_a_rendered_text_once(monkeypatch):
    shown = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)  # as in a kernel
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: shown.append(args))
    assert rendered("[bold]scan 3") == "scan 3" and not shown  # and without colours


@given(st.floats(1e-12, 1e9), st.sampled_from([1, -1]))
def test_the_text_of_a_coordinate_is_within_half_a_percent(size, sign):
    assert float(coordinate(sign * size)) == pytest.approx(sign * size, rel=0.0051)


def test_a_shared_unit_is_written_once():
    position = {"x": 3.25, "y": 1.0}
    assert place(position, {"x": "mm", "y": "mm"}) == "(3.25, 1.00) mm"
    assert place(position, {"x": "mm", "y": "deg"}) == "(3.25 mm, 1.00 deg)"
    assert place(position, {}) == "(3.25, 1.00)"
    assert named_place(position, {"x": "mm"}) == "x 3.25 mm, y 1.00"


@pytest.fixture
def zone_as_before():
    """Let this process be in its own time zone again, once the variables are as before."""
    yield
    time.tzset()


def test_times_are_local(zone_as_before, variables):
    variables(TZ=(zone := "America/Chicago"))
    time.tzset()
    for month in (1, 7):  # one of them is on the other side of a change of the clocks
        when = pd.Timestamp(2026, month, 22, 3, tz="UTC")
        assert f"{here(when):%H:%M}" == f"{when.tz_convert(zone):%H:%M}"
        assert f"{here(pd.Series([when]).dt).iloc[0]:%H:%M}" == f"{when.tz_convert(zone):%H:%M}"
