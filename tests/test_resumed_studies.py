"""Cases of a study in processes that Ctrl-C ends, and on the workers of a Dask cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

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


def test_workers_of_a_cluster_measure_what_a_study_lacks():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        processes = {*client.run(os.getpid).values()}
        address = cluster.scheduler_address
        first = _tools.resumed("squares", {"of": 1}, CASES[:4], measure, dask=address)
        rows = _tools.resumed("squares", {"of": 1}, CASES, measure, dask=address)
    assert len(processes) == 2 and {row["process"] for row in rows} <= processes
    assert [row["square"] for row in rows] == [0, 1, 4, 9, 16, 25] and rows[:4] == first
    assert _tools.resumed("squares", {"of": 1}, CASES, measure, dask=address) == rows


@pytest.mark.timeout(120)
def test_ctrl_c_ends_a_study_with_one_line_and_keeps_its_rows(tmp_path):
    record = tmp_path / "some.jsonl"
    imports = "from studies._tools import resumed; from tests.test_resumed_studies import measure_some"
    call = f"{imports}; resumed('some', {{'of': 1}}, {CASES}, measure_some, workers=2)"
    study = subprocess.Popen(
        [
            sys.executable,
            "-c",
            call,
        ],
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
    _, said = study.communicate(timeout=60)
    assert study.returncode == 1
    line, *rest = said.splitlines()
    assert line == f"interrupted: {record} keeps 3 of 6 cases, and the next start continues there"
    assert not any(line.startswith("Traceback") for line in rest)
    rows = [json.loads(line) for line in record.read_text().splitlines()[1:]]
    assert sorted(case[1] for case, _ in rows) == [*range(NEVER)]
