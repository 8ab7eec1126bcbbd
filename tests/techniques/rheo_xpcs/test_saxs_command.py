"""`ainerd saxs` of results on a server."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd.results import ResultRecord, ResultStore
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd.techniques.rheo_xpcs.commands import saxs
from ainerd.xpcs import WATER_INV_CM

Q = np.linspace(0.02, 0.5, 40)
# cross-section in 1/cm, monitor, transmission
EXPOSURES = {
    1: (5 * np.exp(-((Q * 8) ** 2) / 3) + 0.02, 3.0, 0.5),
    2: (np.full(Q.size, 0.02), 2.0, 0.6),
    3: (np.full(Q.size, WATER_INV_CM + 0.01), 4.0, 0.7),
    4: (np.full(Q.size, 0.01), 3.0, 0.9),
}
app = typer.Typer()
app.command()(saxs)


@pytest.fixture(scope="module")
def store(place):
    store, rng = ResultStore(open_catalog(place.client())[1]), np.random.default_rng(0)
    for scan, (truth, monitor, transmission) in EXPOSURES.items():
        record = ResultRecord(
            raw_uid=f"{scan:032x}", scan_id=scan, run_time=1e9 + scan, technique="rheo_xpcs", agent="a", parameters={},
            positions={"i0": monitor, "through": transmission},
        )  # fmt: skip
        store.begin(record)
        parts = 70 * truth * monitor * transmission * (1 + 0.01 * rng.normal(size=(10, Q.size)))
        arrays = {"saxs": parts.mean(0).astype(np.float32), "saxs_q": Q, "saxs_segments": parts.astype(np.float32)}
        dims = {"saxs": ("saxs_q",), "saxs_q": ("saxs_q",), "saxs_segments": ("segment", "saxs_q")}
        store.complete(
            record.key, Analysis(embedding=np.zeros(4, np.float32), novelty_p=None, arrays=arrays, dims=dims)
        )
    record = ResultRecord(raw_uid="x", scan_id=5, run_time=2e9, technique="rheo_xpcs", agent="a", parameters={})
    store.begin(record)
    store.fail(record.key, "too dark")
    return store


@pytest.fixture
def run(store, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", place.api_key)
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments), "--tiled", place.uri])


def test_the_cross_section_of_a_sample_is_found(run):
    options = ("--monitor", "i0", "--transmission", "through", "--relative-err", 0.01, "--standard", 3, "--empty", 4)
    done = run(1, "--buffer", 2, *options)
    assert done.exit_code == 0, done.output
    q, intensity, error = np.loadtxt("saxs.dat").T
    truth = EXPOSURES[1][0] - EXPOSURES[2][0]
    off = (intensity - truth) / np.hypot(error, 0.025 * truth)
    np.testing.assert_allclose(q, Q)
    assert np.abs(off).max() < 4 and "in 1/cm; the scale is known to 0.0" in done.output
    assert Path("saxs.png").read_bytes()[:4] == b"\x89PNG"


def test_without_a_standard_the_unit_is_that_of_the_monitor(run):
    done = run(1, "--buffer", 2, "--monitor", "i0", "--transmission", "through")
    assert "in photons/pixel/frame/i0" in done.output
    truth = 70 * (EXPOSURES[1][0] - EXPOSURES[2][0])
    np.testing.assert_allclose(np.loadtxt("saxs.dat")[:, 1], truth, atol=0.02 * truth.max(), rtol=0.02)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((5,), "has no I(q)"),
        ((1, "--monitor", "nothing"), "has no number 'nothing' in the table"),
        ((1, "--empty", 4), "give --standard"),
        ((77,), "77"),
    ],
)
def test_what_is_not_there_is_named(run, arguments, why):
    done = run(*arguments)
    assert isinstance(done.exception, ValueError) and why in str(done.exception)
