"""Note which lines of a folder run in each test, also in the processes that the test starts.

A process that is started with `NOTES` in its environment, and finds this file as ``sitecustomize.py``, takes part.
"""

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

NOTES = "AINERD_STUDIED_LINES"  # folder, and the file of the notes


def note_lines() -> Callable[[str], None]:
    """Note each line of the folder once for each test, in all threads; return the function that names the test."""
    folder, path = os.environ[NOTES].split(os.pathsep)
    file, seen, test = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), set[tuple[str, int]](), ""
    refused = list[bytes]()  # while a test limits the size of files

    def lines(frame: FrameType, event: str, _: Any) -> Any:
        key = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and key not in seen:
            seen.add(key)
            note = f"{test}\t{os.path.basename(key[0])}:{key[1]}\n".encode()
            try:
                os.write(file, note)
            except OSError:
                refused.append(note)
        return lines

    def calls(frame: FrameType, event: str, _: Any) -> Any:
        return lines if frame.f_code.co_filename.startswith(folder) else None

    def begin(name: str) -> None:
        nonlocal test
        os.write(file, b"".join(refused))
        refused.clear()
        seen.clear()
        test = name

    threading.settrace(calls)
    sys.settrace(calls)
    return begin


if __name__ == "sitecustomize" and NOTES in os.environ:
    note_lines()
