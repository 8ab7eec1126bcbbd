"""Which result a person means: by the number of its scan, or the beginning of its key."""

import re
from typing import Any

import numpy as np
import pandas as pd

from ainerd.results._columns import Columns

LONG = 36  # characters of a whole key
SHORT = 8  # of a key as it is shown


def scan_text(scan_id: Any, event: Any = None) -> str:
    """The number of a scan as it is written everywhere: 12, and 12.2 for its second event."""
    if pd.isna(scan_id):
        return "?"
    further = not pd.isna(event) and int(event) > 1
    return f"{int(scan_id)}.{int(event)}" if further else str(int(scan_id))


def found_key(results: Columns, wanted: str | int | float) -> str:
    """Key of the result that is meant.

    Parameters
    ----------
    results : Columns
    wanted : int, float or str
        The number of a scan, ``12``, whose first result is meant; ``"12.2"`` or ``12.2`` for its second event; or the
        first characters of a key. Of several scans with one number the newest is meant.

    Raises
    ------
    KeyError
        If it is no result, or several could be meant.
    """
    text = str(wanted).removesuffix(".0")  # as pandas has it where a number is missing
    number = re.fullmatch(r"(\d{1,7})(?:\.(\d+))?", text)
    if number is None:
        keys = [str(key) for key in results.frame.index if key.startswith(text)] if text else []
        if len(keys) != 1:
            found = f"{len(keys)} results have keys that begin so" if keys else "no result has such a key"
            raise KeyError(f"no result {text!r}: {found}; see store.table()")
        return keys[0]
    scan, event = int(number[1]), int(number[2] or 1)
    of_scan = results.at(results.column("scan_id") == scan)
    if not len(of_scan):
        raise KeyError(f"no result {text!r}: scan {scan} has none; see store.table()")
    when = np.nan_to_num(of_scan.column("run_time"))
    of_run = of_scan.at(when == when.max())
    events = of_run.column("event")
    of_event = of_run.at(np.where(np.isnan(events), 1, events) == event)
    if not len(of_event):
        there = ", ".join(scan_text(scan, one) for one in events)
        raise KeyError(f"no result {text!r}: of that scan there are {there}")
    done = of_event.at(~np.isin(of_event.column("status").astype(object), ("computing", "failed")))
    meant = done if len(done) else of_event
    return str(meant.frame.index[int(meant.number.argmax())])  # made last: with the newest parameters
