"""Cases of a study in processes, which Ctrl-C ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studies import _tools

CASES = [("square", number) for number in range(6)]
NEVER = 3  # from this case on, none ends


def measure(case):
    """Return the row of a case, and who measured it."""
    _, number = case
    return {"number": number, "square": number**2, "process": os.getpid()}


def measure_some(case):
    """Return the row of one of the first cases; the others wait until they are killed."""
    if case[1] >= NEVER:
        time.sleep(600)
    return {"number": case[1]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(_tools, "FOLDER", tmp_path)


def test_a_study_measures_the_cases_that_it_lacks():
    first = _tools.resumed("squares", {"of": 1}, CASES[:4], measure, workers=2)
    rows = _tools.resumed("squares", {"of": 1}, CASES, measure, workers=2)
    assert [row["square"] for row in rows] == [0, 1, 4, 9, 16, 25] and rows[:4] == first
    assert os.getpid() not in {row["process"] for row in rows}
    assert _tools.resumed("squares", {"of": 1}, CASES, measure, workers=2) == rows


@pytest.mark.timeout(120)
def test_ctrl_c_ends_a_study_with_one_line_and_keeps_its_rows(tmp_path):
    record = tmp_path / "some.jsonl"
    # a shell ignores the interrupt for what it runs in the background, and processes inherit that
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    imports = "from studies._tools import resumed; from tests.test_resumed_studies import measure_some"
    call = f"{heeds}; {imports}; resumed('some', {{'of': 1}}, {CASES}, measure_some, workers=2)"
    study = subprocess.Popen(
        [sys.executable, "-c", call],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"AINERD_STUDIES": str(tmp_path)},
        start_new_session=True,  # a terminal sends Ctrl-C to the study and to its processes
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (record.exists() and len(record.read_text().splitlines()) > NEVER) and study.poll() is None:
        time.sleep(0.05)
    os.killpg(study.pid, signal.SIGINT)
    _, printed = study.communicate()
    assert study.returncode == 1
    line, *rest = printed.splitlines()
    assert line == f"interrupted: {record} keeps 3 of 6 cases, and the next start continues there"
    assert not any(line.startswith("Traceback") for line in rest)
    rows = [json.loads(line) for line in record.read_text().splitlines()[1:]]
    assert sorted(case[1] for case, _ in rows) == [*range(NEVER)]
