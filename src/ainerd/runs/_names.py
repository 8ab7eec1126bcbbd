"""Names that a SQL table or a node of Tiled's catalog can have."""

import hashlib
import re

LONGEST = 60  # bytes: 63 in PostgreSQL, less those of the prefix of the column of times
FORBIDDEN = re.compile(r"""['"`;\\%()=+/.\x00-\x1f\x7f\u2028\u2029\x85]|--|\*""")


def column_name(key: str, taken: set[str]) -> str:
    """Return a name for the column of a reading, with underscores in place of what SQL refuses.

    `taken` are names in lower case that it must not have, in any case; nor must ``ts_`` and the name, which is the
    column of its times.

    Examples
    --------
    >>> column_name("Cell", {"cell", "ts_cell"}), column_name("time", {"time"}), column_name("I(0)", set())
    ('Cell_', 'time_', 'I_0_')
    """
    name = FORBIDDEN.sub("_", key)
    if not re.match("[a-zA-Z]", name):  # names that begin with an underscore belong to Tiled
        name = f"key_{name}"
    if _length(name) > LONGEST:
        digest = hashlib.sha256(key.encode()).hexdigest()[:8]
        while _length(name) > LONGEST - len(digest) - 1:
            name = name[:-1]
        name = f"{name}_{digest}"
    number, free = 1, name
    while free.lower() in taken or f"ts_{free}".lower() in taken:
        number += 1
        suffix = "_" if number == 2 else f"_{number}"
        short = name
        while _length(short + suffix) > LONGEST:
            short = short[:-1]
        free = short + suffix
    return free


def node_name(key: str, taken: set[str]) -> str:
    """Return a name for a node, with underscores in place of slashes and control characters.

    Examples
    --------
    >>> node_name("a/b", {"a_b"}), node_name("", set())
    ('a_b_', '_')
    """
    name = re.sub(r"[/\x00-\x1f\x7f]", "_", key)
    name = "_" if name in ("", ".", "..") else name
    while name in taken:
        name += "_"
    return name


def _length(name: str) -> int:
    return max(len(name.encode()), len(name.lower().encode()))
