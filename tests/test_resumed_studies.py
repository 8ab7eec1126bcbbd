"""Cases of a study on the workers of a Dask cluster."""

import os

import pytest
from distributed import Client, LocalCluster

from studies import _tools

CASES = [("square", number) for number in range(6)]


def measure(case):
    """Return the row of a case, and who measured it."""
    _, number = case
    return {"number": number, "square": number**2, "process": os.getpid()}


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
