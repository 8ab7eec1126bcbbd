"""Text from outside that goes to a terminal, or into a table that others open."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: object) -> str:
    """The text with control characters shown as �, so that an escape sequence in a name clears no screen."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))
