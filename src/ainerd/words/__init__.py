"""Format positions, times and foreign text in the same way at the prompt, in the log, in figures and in reports."""

from ainerd.words._position import coordinate, here, named_place, place
from ainerd.words._text import escape_cell, escape_table, printable, rendered, storable

__all__ = [
    "coordinate", "escape_cell", "escape_table", "here", "named_place", "place", "printable", "rendered", "storable",
]  # fmt: skip
