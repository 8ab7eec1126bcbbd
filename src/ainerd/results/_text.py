"""Text from outside that goes to a terminal, or into a table that others open."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LIVE = "=+-@\t\r"


def plain(text: object) -> str:
    """The text with control characters shown as �, so that an escape sequence in a name clears no screen."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def inert(text: object) -> object:
    """A cell of a table as others may open it: a spreadsheet takes text that begins with = + - @ for a formula.

    It is given a ' in front, by which spreadsheets know text. What is no text stays as it is.
    """
    return f"'{text}" if isinstance(text, str) and text[:1] in _LIVE and text else text
