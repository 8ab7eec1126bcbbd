"""The study of faults in short: `make soak` is the long one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def rows_of(study, folder, *options):
    """Run a study, which ends with 1 if anything is lost or wrong, and return the rows of its table."""
    few = {f"TILED_RETRY_{name}": "2" for name in ("ATTEMPTS", "TIMEOUT")}  # else a call waits 45 s for the server
    done = subprocess.run(
        [sys.executable, "-m", f"studies.{study}", *options],
        cwd=ROOT,
        env=os.environ | few | {"AINERD_STUDIES": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / f"{study}.json").read_text())["rows"]


@pytest.mark.timeout(600)
@pytest.mark.fault("All of these happen in random order", "Every run has exactly one result, complete or failed")
def test_no_run_is_lost_whatever_happens(tmp_path):
    rows = rows_of("soak", tmp_path, "--runs=5", "--seed=5530")  # of different kinds
    assert sum(row["runs"] for row in rows) >= 5 and all(row["lost"] == 0 for row in rows)
    kinds = {row["fault"] for row in rows}
    assert kinds == {
        "none", "Tiled killed for some seconds", "agent closed, another one started", "run breaks off",
        "frame file removed",
    }  # fmt: skip
