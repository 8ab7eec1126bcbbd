"""Functions of the scripts of the pages, in Chromium without a server."""

import hashlib

import numpy as np
import pytest

from ainerd.page import HERE, PLOTLY_SHA256
from ainerd.words import value_with_error
from tests.end_to_end.browsers import launched


@pytest.fixture(scope="module")
def value_of():
    """Return a function that evaluates an expression with the functions of some parts of the script."""
    with launched() as chromium:
        page = chromium.new_context(locale="en-US", timezone_id="Europe/Berlin").new_page()

        def evaluate(parts, expression, given=None):
            source = "\n".join((HERE / f"{part}.js").read_text() for part in parts.split())
            return page.evaluate(f"(given) => {{ {source}\nreturn {expression}; }}", given)

        yield evaluate


def test_the_hour_after_midnight_is_zero(value_of):
    assert value_of("words", "clock(1735686300)").endswith("00:05")  # 1 January 2025 in Berlin


def test_a_place_on_the_map_is_not_rounded_to_another_place(value_of):
    range = [12340.0, 12350.0]  # far from zero: four digits would be a whole motor position, and a box without width
    assert value_of("actions", "digits(12343.217, given)", range) == "12343.217"
    assert value_of("actions", "around(12343.217, given)", range) == ["12342.717", "12343.717"]
    assert value_of("actions", "around(0.00412, given)", [0.0, 0.01]) == ["0.00362", "0.00462"]
    assert value_of("actions", "digits(312.3456, given)", [300.0, 400.0]) == "312.35"
    assert value_of("actions", "[digits(undefined, given), ...around(undefined, given)]", range) == ["", "", ""]


def test_a_quantity_is_a_number_with_its_error_or_its_limits(value_of):
    def text(value, error, *limits):
        run = {"of": {"tau_s": value}, "errors": {"tau_s": error}, "limits": {"tau_s": limits}}
        return value_of("words", "quantityText(given, 'tau_s')", run)

    numbers = [(8.5, 3.0), (6.2, 0.15), (11.0, 0.48), (1234.0, 41.0), (-0.00412, 0.0000355)]
    assert [text(*each, None, None) for each in numbers] == [value_with_error(*each) for each in numbers]
    assert text(8.5, None, None, None) == "8.5"
    assert text(None, None, 2.29, 23.4) == "2.29 to 23.4"
    assert text(None, None, 16.1, None) == "> 16.1" and text(None, None, None, 5.0) == "< 5"
    assert text(None, None, None, None) == ""
    assert value_of("words", "[plain('tau_s_above'), short('stress_mean'), plain('velocity_nm_s')]") == [
        "tau above", "stress", "velocity",
    ]  # fmt: skip


def test_points_are_projected_as_the_agent_says(value_of):
    rng = np.random.default_rng(1)
    middle, directions, point = rng.normal(size=8), rng.normal(size=(2, 8)), rng.normal(size=8)
    axes = {"middle": middle.tolist(), "directions": directions.tolist(), "digest": "a"}
    given = {"point": point.tolist(), "axes": axes}
    shown = value_of("scene", "projected(given.point, 'a', given.axes)", given)
    np.testing.assert_allclose(shown, directions @ (point - middle))
    assert value_of("scene", "projected(given.point, 'b', given.axes)", given) == [None, None]  # of other parameters


def test_plotly_is_the_published_file():
    assert hashlib.sha256((HERE / "plotly.min.js").read_bytes()).hexdigest() == PLOTLY_SHA256
