"""Functions of the scripts of the pages, in Chromium without a server."""

import hashlib
from pathlib import Path

import pytest

import ainerd.server.pages
from ainerd.server.pages import _static
from tests.end_to_end.browsers import launched

STATIC = Path(ainerd.server.pages.__file__).parent / "static"


@pytest.fixture(scope="module")
def value_of():
    """Return a function that evaluates an expression with the functions of some parts of the script."""
    with launched() as chromium:
        page = chromium.new_context(locale="en-US", timezone_id="Europe/Berlin").new_page()

        def evaluate(parts, expression, given=None):
            source = "\n".join((STATIC / f"{part}.js").read_text() for part in parts.split())
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


def test_the_log_has_no_hole_after_a_long_sleep(value_of):
    merged = "(({lines, before}) => [lines.length, lines[0].key, before])(merge(given[0], given[1]).log)"

    def state(first, stop, before):
        return {"results": {"n": 0}, "log": {"lines": [{"key": k} for k in range(first, stop)], "before": before}}

    first = state(10, 40, 10)
    assert value_of("state", merged, [first, state(40, 45, 40)]) == [35, 10, 10]
    assert value_of("state", merged, [first, state(300, 500, 300)]) == [200, 300, 300]  # 40 to 299 were not sent
    assert value_of("state", merged, [first, state(40, 2040, 40)]) == [2000, 40, 40]


def test_a_number_that_a_growing_result_lost_is_not_kept(value_of):
    before = {"n": 2, "key": ["a", "b"], "status": ["complete", "growing"], "of": {"tau_s": [1, 2]}}
    answer = {"n": 3, "index": [1, 2], "key": ["b", "c"], "status": ["growing", "growing"], "of": {"counts": [5, 6]}}
    merged = value_of("state", "mergeColumns(given[0], given[1])", [before, answer])
    assert merged["of"] == {"tau_s": [1, None, None], "counts": [None, 5, 6]}
    assert merged["key"] == ["a", "b", "c"] and merged["n"] == 3


def test_plotly_is_the_published_file():
    path = STATIC / _static.PLOTLY
    assert hashlib.sha256(path.read_bytes()).hexdigest() == _static.PLOTLY_SHA256
