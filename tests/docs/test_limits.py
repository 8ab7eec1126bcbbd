"""Limits that docs/explanation/limits.md states and no other test shows: a test that fails here is good news."""

import re
from pathlib import Path

import numpy as np
import pytest

from ainerd.technique import AnalysisError, RunInfo
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import Bank, RheoXPCS

ROOT = Path(__file__).resolve().parents[2]


def rheo_xpcs():
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 19), 300).reshape(60, 90))
    return RheoXPCS(partition, Encoder.load(), Bank.load(), contrast=0.2)


def test_the_time_of_a_frame_must_be_known():
    with pytest.raises(AnalysisError, match=r"\[detector\] frame_time_s"):
        rheo_xpcs().begin(RunInfo(raw_uid="x", n_frames=300, frame_shape=(60, 90)))


def test_each_row_names_its_evidence():
    page = (ROOT / "docs/explanation/limits.md").read_text()
    rows = [x for x in page.splitlines() if x.startswith("| ") and not x.endswith("| shown by |")]
    assert len(rows) >= 16
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for row in rows:
        *_, shown = row.strip("| ").split(" | ")
        names = re.findall(r"`(?:test_\w+|python -m studies\.\w+(?: \w+)?)`", shown)
        assert names or shown == "*not shown yet*", row
        for name in (name.strip("`") for name in names):
            assert name.startswith("python") or f"def {name}(" in tests, name
