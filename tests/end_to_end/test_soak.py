"""The soak in short: `make soak` is the long one."""

import pytest

from studies.soak import soak


@pytest.mark.fault(
    "all of these at random, one after the other", "every run has exactly one result, complete or failed"
)
def test_no_run_is_lost_whatever_happens(tmp_path, monkeypatch):
    for name in ("ATTEMPTS", "TIMEOUT"):
        monkeypatch.setattr(f"tiled.client.utils.TILED_RETRY_{name}", 2)
    rows, wrong, _ = soak(tmp_path, 8, seed=17605)  # eight different ones
    assert wrong == []
    assert sum(row["runs"] for row in rows) >= 8 and all(row["lost"] == 0 for row in rows)
    assert len(rows) == 8 and {row["fault"] for row in rows} >= {"none", "Tiled killed for some seconds"}
