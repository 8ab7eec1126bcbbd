"""Banks of measured runs: `ainerd calibrate`."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd.novelty import NoveltyScorer
from ainerd.results import ResultRecord, ResultStore
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd_xpcs.dynamics import MECHANISMS, Dynamics, reduced_g1_squared
from ainerd_xpcs.latent import Encoder, run_embedding
from ainerd_xpcs.technique import RESIDUALS, TERMS, Bank, run_features
from ainerd_xpcs.technique.commands import calibrate
from tests.noisy_runs import noisy_runs

ROOT = Path(__file__).resolve().parents[3]
RUN = {"n_frames": 5000, "counts": 0.3, "n_pixels": 570}
N_SIMULATED = 60  # exposures of a bank: some of each kind
app = typer.Typer()
app.command()(calibrate)
app.callback()(lambda: None)  # so that the command keeps its name


def maps(tau_s, rng, exponent=1.0, **more):
    """C2 maps of a run in two bins, at 64 px."""
    dynamics = Dynamics(family="slow", tau_s=tau_s, exponent=exponent, **more)
    clean = np.float32(0.2) * reduced_g1_squared(dynamics, 1.0, 64).astype(np.float32)
    return noisy_runs(clean[None], rng=rng, n_roi=2, **RUN)[0]


@pytest.fixture(scope="module")
def catalogue(place):
    """A server with 25 runs of one kind, and the keys of their results."""
    rng, encoder = np.random.default_rng(0), Encoder.load()
    store, keys = ResultStore(open_catalog(place.client())[1]), []
    for i in range(25):
        c2 = maps(rng.uniform(0.3, 0.6), rng)
        record = ResultRecord(raw_uid=f"run-{i}", technique="rheo_xpcs", agent="ainerd", parameters={"contrast": 0.2})
        keys.append(store.begin(record))
        embedding = run_embedding(encoder, encoder.encode(c2))
        store.complete(keys[i], Analysis(embedding=embedding, novelty_p=None, arrays={"c2": c2}))
    return place, keys


@pytest.fixture
def run(catalogue):
    storage = {"AINERD_STORAGE__URI": catalogue[0].uri, "AINERD_STORAGE__API_KEY": catalogue[0].api_key}
    return lambda *arguments: CliRunner().invoke(app, ["calibrate", *map(str, arguments)], env=storage)


def test_measured_runs_become_known(run, catalogue, tmp_path):
    out = tmp_path / "mine.safetensors"
    chosen = [x for key in catalogue[1] for x in ("--key", key)]
    done = run("--n", 0, "--out", out, *chosen)
    assert done.exit_code == 0 and "0 simulated exposures, 25 measured" in " ".join(done.output.split())
    bank, encoder, rng = Bank.load(out), Encoder.load(), np.random.default_rng(1)
    assert bank.id in done.output and set(bank.families) == {"chosen runs"}
    features = bank.features(encoder, contrast=0.2, n_roi=2, **RUN)
    scorer = NoveltyScorer(terms=TERMS, residuals=RESIDUALS).fit(features, bank.families)
    alike = [run_features(encoder, maps(tau_s, rng), **RUN) for tau_s in (0.35, 0.45, 0.5)]
    jumps = run_features(encoder, maps(0.45, rng, events=((0.5, 2.0),)), **RUN)
    assert scorer.p_values(alike).min() > 0.05
    assert scorer.p_values(jumps[None])[0] == pytest.approx(1 / 26)
    run("--n", 0, "--out", out, *chosen[:10])  # a few are taken several times
    assert Bank.load(out).families == ["chosen runs"] * 25


def test_a_simulated_bank_takes_no_server(tmp_path, monkeypatch):
    monkeypatch.setattr("ainerd_xpcs.technique._clean.FEWEST_SIMULATED", N_SIMULATED)
    out, n = tmp_path / "new" / "bank.safetensors", str(N_SIMULATED)
    done = CliRunner().invoke(app, ["calibrate", "--n", n, "--seed", "3", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert len(Bank.load(out).families) == N_SIMULATED and set(Bank.load(out).families) == set(MECHANISMS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--n", 0), "nothing to compare with"),
        (("--n", 300), "--n 300: enough of each kind need 456 exposures"),
        (("--out", "bank.pt"), "bank.pt: give a name that ends in .safetensors"),
        (("--regime", 3), "regime 3: 0 complete results, a kind needs 4"),
    ],
)
def test_impossible_requests_have_a_message(run, arguments, message):
    done = run(*arguments)
    assert isinstance(done.exception, ValueError) and message in str(done.exception)


def test_only_settings_of_rheo_xpcs_are_prepared():
    with pytest.raises(ValueError, match="its technique is xtec: only rheo_xpcs has such calibrations"):
        calibrate(config=ROOT / "agents" / "xtec.toml", photons=100.0)
