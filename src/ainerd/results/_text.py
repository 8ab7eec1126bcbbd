"""Text from outside that goes to a terminal, or into a table that others open."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LIVE = "=+-@\t\r"


def plain(text: object) -> str:
    """The text with control characters shown as �, so that an escape sequence in a name clears no screen."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def storable(text: str) -> str:
    """The text without what a catalogue takes none of: half of a surrogate pair (UTF-8), NUL (PostgreSQL)."""
    return text.encode(errors="backslashreplace").decode().replace("\0", r"\x00")


def inert(text: object) -> object:
    """A cell of a table as others may open it: a spreadsheet takes text that begins with = + - @ for a formula.

    It is given a ' in front, by which spreadsheets know text. What is no text stays as it is.
    """
    return f"'{text}" if isinstance(text, str) and text[:1] in _LIVE and text else text


def without_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """A copy of a table whose texts, and names of columns, are texts to a spreadsheet; see `inert`."""
    plain = table.rename(columns=inert)
    for i, dtype in enumerate(table.dtypes):
        if dtype.kind in "OSU":
            plain.isetitem(i, plain.iloc[:, i].map(inert).array)
    return plain
