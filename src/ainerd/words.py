"""Format positions, times and foreign text in the same way at the prompt, in the log, in figures and in reports."""

import math
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from rich.table import Table

SINCE = "time since the exposure began (s)"  # label of every axis of time within a run
DIGITS, FEWEST = 3, 2  # significant digits, and the fewest decimals
MOST = 6  # most decimals; smaller numbers are written with powers of ten
_BREAK = re.compile(r"[\n\v\f\r\x85\u2028\u2029]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # and directions


def utc_now() -> str:
    """Return the time, UTC, ISO 8601.

    Examples
    --------
    >>> utc_now()[10]
    'T'
    """
    return datetime.now(UTC).isoformat()


def scan_text(known: Mapping[Any, object]) -> str:
    """Return the number of an exposure as text: 12, or 12.2 for the second of a run of several.

    Parameters
    ----------
    known : mapping
        ``scan_id``, ``event``, and ``n_events``, the number of events that the run announced, as far as they are known;
        ``file``, the result file of a run without a scan.

    Examples
    --------
    >>> scan_text({"scan_id": 12}), scan_text({"scan_id": 12, "event": 1, "n_events": 3}), scan_text({"file": "7.hdf"})
    ('12', '12.1', '7.hdf')
    """
    scan, event, n_events = (_whole(known.get(name)) for name in ("scan_id", "event", "n_events"))
    if scan is None:
        file = known.get("file")
        return printable(file) if isinstance(file, str) and file else "?"
    return f"{scan}.{event}" if event is not None and max(event, n_events or 1) > 1 else str(scan)


def run_text(known: Mapping[Any, object]) -> str:
    """Return the name of an exposure in a sentence; `known` is as for `scan_text`.

    Examples
    --------
    >>> run_text({"scan_id": 12, "event": 2}), run_text({"file": "run_7.hdf"})
    ('scan 12.2', 'run_7.hdf')
    """
    text = scan_text(known)
    return text if _whole(known.get("scan_id")) is None and text != "?" else f"scan {text}"


def _whole(value: object) -> int | None:
    return int(float(value)) if isinstance(value, Real) and value == value else None


def coordinate(x: float) -> str:
    """Return a coordinate as text: ``3.25``, and ``0.00412`` for a motor in metres.

    Examples
    --------
    >>> coordinate(3.25), coordinate(0.00412)
    ('3.25', '0.00412')
    """
    decimals = FEWEST
    if x and math.isfinite(x):
        decimals = max(FEWEST, DIGITS - 1 - math.floor(math.log10(abs(x))))
    return f"{x:.{decimals}f}" if decimals <= MOST else f"{x:.{DIGITS - 1}e}"


def rounded(x: float, digits: int = DIGITS) -> str:
    """Return a number with so many significant digits, with a power of ten only from a million on or below 1e-4.

    Examples
    --------
    >>> rounded(99.6, 2), rounded(1234), rounded(0.00412, 2)
    ('100', '1230', '0.0041')
    """
    return f"{float(f'{x:.{digits}g}'):g}"


def value_with_error(x: float, error: float) -> str:
    """Return a number with its standard error, to the last digit of the error.

    The error has two digits if they are below 36, otherwise one, as in the Review of Particle Physics (Particle Data
    Group 2024, section 5.3).

    Examples
    --------
    >>> value_with_error(11, 0.48), value_with_error(6.2, 0.15), value_with_error(1234, 41)
    ('11.0 ± 0.5', '6.20 ± 0.15', '1230 ± 40')
    >>> value_with_error(1.234e-6, 2e-8), value_with_error(8.5, math.nan)
    ('(1.234 ± 0.020)e-06', '8.5 ± nan')
    """
    if not (0 < error < math.inf and math.isfinite(x)):
        return f"{rounded(x)} ± {rounded(error, 2)}"
    size = math.floor(math.log10(max(abs(x), error)))
    if not -4 <= size < MOST:
        return f"({value_with_error(x / 10.0**size, error / 10.0**size)})e{size:+03d}"
    digits = 2 if float(f"{error:.2e}".partition("e")[0]) < 3.55 else 1
    error = float(f"{error:.{digits - 1}e}")
    decimals = digits - 1 - math.floor(math.log10(error))
    return f"{round(x, decimals):.{max(decimals, 0)}f} ± {error:.{max(decimals, 0)}f}"


def number_of(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> number_of(1, "regime"), number_of(2, "regime")
    ('1 regime', '2 regimes')
    """
    return f"{n} {noun}{'s' * (n != 1)}"


def regime_name(regime: int, names: Mapping[int, str] = {}, kinds: Mapping[int, str] = {}) -> str:
    """Return a regime with the name that a person gave it, or what its exposures do, if they are known.

    Examples
    --------
    >>> regime_name(1, {1: "gel"}), regime_name(2, {1: "gel"}, {2: "steady"})
    ('regime 1 (gel)', 'regime 2: steady')
    """
    if regime < 0:
        return "unassigned"
    if regime in names:
        return f"regime {regime} ({names[regime]})"
    return f"regime {regime}: {kinds[regime]}" if regime in kinds else f"regime {regime}"


def regime_names(regimes: Iterable[int], names: Mapping[int, str] = {}) -> str:
    """Return regimes with their names in words.

    Examples
    --------
    >>> regime_names([3]), regime_names([0, 2, 3], {2: "gel"})
    ('regime 3', 'regimes 0, 2 (gel) and 3')
    """
    *others, last = (regime_name(regime, names).removeprefix("regime ") for regime in regimes)
    return f"regimes {', '.join(others)} and {last}" if others else f"regime {last}"


def sender(by: str) -> str:
    """Return the name of who sent a command for a sentence.

    Examples
    --------
    >>> sender("person"), sender("Ada")
    ('a person', 'Ada')
    """
    return "a person" if by == "person" else by


def place(position: Mapping[str, float], units: Mapping[str, str]) -> str:
    """Return a position as text: ``(3.25, 1.00) mm``; each number has its own unit if the units differ.

    Examples
    --------
    >>> place({"sample_x": 3.25, "sample_y": 1.0}, {"sample_x": "mm", "sample_y": "mm"})
    '(3.25, 1.00) mm'
    """
    shared = {units.get(name, "") for name in position}
    if len(shared) == 1:
        return amount(f"({', '.join(map(coordinate, position.values()))})", shared.pop())
    return f"({', '.join(amount(coordinate(x), units.get(name)) for name, x in position.items())})"


def named_place(position: Mapping[str, float], units: Mapping[str, str]) -> str:
    """Return a position with the names of the actuators: ``sample_x 3.25 mm, sample_y 1.00 mm``.

    Examples
    --------
    >>> named_place({"sample_x": 3.25}, {"sample_x": "mm"})
    'sample_x 3.25 mm'
    """
    return ", ".join(f"{name} {amount(coordinate(x), units.get(name))}" for name, x in position.items())


def amount(number: str, unit: str | None) -> str:
    """Return a number with its unit, as texts; a number without a unit has the unit ``1``, or none.

    Examples
    --------
    >>> amount("3.25", "mm"), amount("0.155", "1")
    ('3.25 mm', '0.155')
    """
    return number if unit in (None, "", "1") else f"{number} {unit}"


def runnable(command: str) -> str:
    """Return a command of this environment as it runs in the present folder: ``.venv/bin/ainerd serve``.

    Examples
    --------
    >>> runnable("ainerd serve").endswith("ainerd serve")
    True
    """
    name, _, rest = command.partition(" ")
    program = Path(sys.executable).with_name(name)
    if not program.exists() or (known := shutil.which(name)) and Path(known) == program:
        return command
    return f"{min(str(program), os.path.relpath(program), key=len)} {rest}".rstrip()


def plain_address(uri: str) -> str:
    """Return an address without its query, user and password, which may be secret.

    Examples
    --------
    >>> plain_address("http://me:secret@tiled.org:8000/api?api_key=12")
    'http://tiled.org:8000/api'
    """
    return re.sub("//[^/]*@", "//", uri.partition("?")[0])


def here(times: Any) -> Any:
    """Convert a pandas Timestamp with a time zone, or the ``.dt`` of a Series of them, to local time.

    Examples
    --------
    >>> import pandas as pd
    >>> here(pd.Timestamp("2026-11-25 08:00", tz="UTC")) == pd.Timestamp("2026-11-25 08:00", tz="UTC")
    True
    """
    return times.tz_convert("tzlocal()")  # each time gets the offset of its own season


def printable(text: object) -> str:
    """Return the text in one line, with � for control characters and marks of direction.

    An escape sequence in a name cannot clear the screen, and a line break in a note cannot forge a line of the log.

    Examples
    --------
    >>> printable("a" + chr(27) + "[2Jb" + chr(10) + "c")
    'a�[2Jb c'
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _BREAK.sub(" ", str(text)))


def first_problem(error: "ValidationError", skip: int = 0) -> str:
    """Return the first problem of a validation in one line, with its key without the first `skip` parts."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"][skip:]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def labelled(lines: Iterable[tuple[str, str, str]], label_style: str = "dim") -> "Table":
    """Return texts with labels for the terminal; each line is (label, text, style of the text).

    Examples
    --------
    >>> rendered(labelled([("next", "(3.0, 7.0) mm", "")]))
    'next  (3.0, 7.0) mm'
    """
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style=label_style, no_wrap=True)
    table.add_column(overflow="fold")
    for label, text, style in lines:
        table.add_row(label, Text(printable(text), style))
    return table


def rendered(renderable: object) -> str:
    """Return the text that rich would print, without trailing spaces.

    Examples
    --------
    >>> rendered("[bold]p = 0.01[/]")
    'p = 0.01'
    """
    from rich.console import Console

    console = Console(force_jupyter=False)  # or a notebook would show it once more
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def storable(text: str) -> str:
    """Escape the characters that a catalog cannot store: lone surrogates (UTF-8) and NUL (PostgreSQL).

    Examples
    --------
    >>> len(storable("a" + chr(0)))  # a backslash, x and two digits
    5
    """
    return text.encode(errors="backslashreplace").decode().replace("\0", r"\x00")
