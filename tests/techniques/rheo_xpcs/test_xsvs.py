"""`ainerd xsvs` of results on a server, whose contrast follows from a known relaxation time."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd.results import ResultRecord, ResultStore
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd.techniques.rheo_xpcs.commands import xsvs

app = typer.Typer()
app.command()(xsvs)
TAU_S = np.array([0.5, 0.05, 1e4])


@pytest.fixture
def run(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", place.api_key)
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments), "--tiled", place.uri])


@pytest.fixture(scope="module", autouse=True)
def store(place):
    store, rng = ResultStore(open_catalog(place.client())[1]), np.random.default_rng(0)
    for scan, width in enumerate(np.geomspace(0.01, 10, 9), start=1):
        record = ResultRecord(
            raw_uid=f"{scan:032x}", scan_id=scan, run_time=1e9 + scan, technique="rheo_xpcs", agent="a", parameters={},
            n_frames=100, frame_time_s=float(width), positions={"count_time": float(width)},
        )  # fmt: skip
        store.begin(record)
        x = width / TAU_S
        contrast = 0.2 * (np.exp(-2 * x) - 1 + 2 * x) / (2 * x**2) + 0.002 * rng.normal(size=3)
        contrast[2] = 0.2 + 0.002 * rng.normal()
        bins = {"bin": np.arange(1, 4), "q": np.array([0.02, 0.04, 0.01]), "contrast0": contrast}
        tables = {"bins": bins | {"contrast0_err": np.full(3, 0.002)}}
        analysis = Analysis(embedding=np.zeros(4, np.float32), novelty_p=None, arrays={}, tables=tables)
        store.complete(record.key, analysis)
    return store


@pytest.mark.parametrize("options", [(), ("--exposure", "count_time")])
def test_contrast_and_relaxation_time_of_each_bin_are_found(run, options, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    done = run(*range(1, 10), *options)
    assert done.exit_code == 0, done.output
    rows = [line.split("│")[1:-1] for line in done.output.splitlines() if "│" in line]
    for row, tau in zip(rows[:2], TAU_S, strict=False):
        for cell, truth in zip(row[3:], (0.2, tau), strict=True):
            value, error = map(float, cell.split("±"))
            assert abs(value - truth) < 3.5 * error and error < 0.15 * value
    assert rows[2][4].strip() == "the data do not determine it"
    assert Path("xsvs.png").stat().st_size > 5000


def test_what_is_missing_is_named(run):
    assert "name the exposure time with --exposure" in str(run(1, 2, 3, "--exposure", "nothing").exception)
    assert "give a name that ends in .png" in str(run(1, "--out", "x.txt").exception)
