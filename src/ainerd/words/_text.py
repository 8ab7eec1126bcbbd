"""Make foreign text safe for a terminal, a catalog and a spreadsheet."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FORMULA_STARTS = "=+-@\t\r"


def printable(text: object) -> str:
    """Return the text with � for control characters, so that an escape sequence in a name cannot clear the screen."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def rendered(renderable: object) -> str:
    """Return the text that rich would print, without trailing spaces."""
    from rich.console import Console

    console = Console()
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def storable(text: str) -> str:
    """Escape the characters that a catalog cannot store: lone surrogates (UTF-8) and NUL (PostgreSQL)."""
    return text.encode(errors="backslashreplace").decode().replace("\0", r"\x00")


def escape_cell(cell: object) -> object:
    """Put a ' before a text that a spreadsheet would read as a formula; return other values unchanged."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA_STARTS and cell else cell


def escape_table(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a copy of the table with its texts and column names escaped by `escape_cell`."""
    escaped = table.rename(columns=escape_cell)
    for i, dtype in enumerate(table.dtypes):
        if dtype.kind in "OSU":
            escaped.isetitem(i, escaped.iloc[:, i].map(escape_cell).array)
    return escaped
