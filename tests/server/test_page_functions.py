"""Functions of the scripts of the pages, in Chromium without a server."""

from pathlib import Path

import pytest

import ainerd.server.pages
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
