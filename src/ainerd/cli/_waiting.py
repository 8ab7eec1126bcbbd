"""Count the runs that wait on disk, without an agent."""

import fcntl
import time
from contextlib import suppress
from pathlib import Path

YOUNG_S = 2.0  # a younger journal may not be locked by its session yet


def waiting(backup: Path) -> dict[str, int]:
    """Count the runs in the folder of an agent.

    Runs ``going_on`` are in progress. Runs ``left`` belong to a killed session. Runs ``raw_kept`` and ``spooled`` wait
    for Tiled. Runs ``set_aside`` cannot be read and wait for a person.
    """
    alive = left = 0
    for path in (backup / "journal").glob("*.jsonl"):
        with suppress(OSError):  # the file disappears when Tiled has the run
            is_young = time.time() - path.stat().st_mtime < YOUNG_S
            if is_young or _is_locked(path):
                alive += 1
            else:
                left += 1
    kept, spooled = (sum(1 for _ in folder.glob("*.jsonl")) for folder in (backup, backup / "results"))
    aside = sum(1 for _ in (backup / "results").glob("*.unreadable"))
    return {"going_on": alive, "left": left, "raw_kept": max(kept - alive, 0), "spooled": spooled, "set_aside": aside}


def _is_locked(path: Path) -> bool:
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
