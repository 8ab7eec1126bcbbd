"""Which result a person means: by the number of its scan, or the beginning of its key."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

LONG = 36  # characters of a whole key
SHORT = 8  # of a key as it is shown

Nodes = Mapping[str, Mapping[str, Any]]


def scan_text(scan_id: Any, event: Any = None) -> str:
    """The number of a scan as it is written everywhere: 12, and 12.2 for its second event."""
    if pd.isna(scan_id):
        return "?"
    further = not pd.isna(event) and int(event) > 1
    return f"{int(scan_id)}.{int(event)}" if further else str(int(scan_id))


def found_key(results: Nodes, wanted: str | int | float) -> str:
    """Key of the result that is meant.

    Parameters
    ----------
    results : mapping
        Metadata by key.
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
        keys = [key for key in results if key.startswith(text)] if text else []
        if len(keys) != 1:
            found = f"{len(keys)} results have keys that begin so" if keys else "no result has such a key"
            raise KeyError(f"no result {text!r}: {found}; see store.table()")
        return keys[0]
    scan, event = int(number[1]), int(number[2] or 1)
    of_scan = {key: said for key, said in results.items() if said.get("scan_id") == scan}
    if not of_scan:
        raise KeyError(f"no result {text!r}: scan {scan} has none; see store.table()")
    newest = max(said.get("run_time", 0.0) for said in of_scan.values())
    of_run = {key: said for key, said in of_scan.items() if said.get("run_time", 0.0) == newest}
    of_event = [key for key, said in of_run.items() if said.get("event", 1) == event]
    if not of_event:
        there = ", ".join(scan_text(scan, said.get("event")) for said in of_run.values())
        raise KeyError(f"no result {text!r}: of that scan there are {there}")
    done = [key for key in of_event if of_run[key].get("status") not in ("computing", "failed")]
    return (done or of_event)[-1]  # made last: with the newest parameters
