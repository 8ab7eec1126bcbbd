"""The commands `encode` and `train`."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from ainerd.cli import app, main
from ainerd_xpcs.dynamics import Dynamics, reduced_g1_squared
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.technique import Bank

DATA = os.environ.get("AINERD_REFERENCE_DATA")


@pytest.fixture
def c2():
    return 1 + 0.2 * reduced_g1_squared(Dynamics(family="slow", tau_s=0.3), 1.0, 256)[0]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.mark.parametrize(("scale", "rule"), [(lambda c: c, "baseline 1"), (lambda c: (c - 0.95) / 0.4, "0.95 + 0.4 x")])
def test_encode_states_its_rule_and_draws(c2, here, scale, rule):
    np.save("map.npy", scale(c2))
    result = run("encode", "map.npy")
    z = Encoder.load().encode(c2[None])[0]
    assert result.exit_code == 0
    printed = " ".join(result.output.split())
    assert rule in printed and "run" in printed and f"{z[0]:.3g}" in printed
    assert imread(here / "map_encoded.png").std() > 0


@pytest.mark.skipif(not DATA, reason="AINERD_REFERENCE_DATA is not set")
def test_encode_beside_the_published_network(here):
    data = Path(str(DATA))
    weights = data / "published_autoencoder_state_dict.pth"
    result = run("encode", data / "published_target_c2.npy", "--published", weights, "--out", "both.png")
    latent = np.load(data / "published_target_reference.npz")["latent"]
    assert result.exit_code == 0 and "published" in result.output and f"{latent[0]:.3g}" in result.output
    assert (here / "both.png").exists()


def test_train_writes_a_loadable_encoder(here):
    result = run("train", "pca", "--out", "mine", "--seed", 1, "--exposures", 40, "--bank", 30)
    assert result.exit_code == 0 and "bank.safetensors" in result.output
    assert Encoder.load(here / "mine" / "pca.safetensors").n_latent == 16
    assert Bank.load(here / "mine" / "bank.safetensors").n == 30


def test_bad_input_is_one_line(c2, here, monkeypatch, capsys):
    for name, array in {"small": c2[:9], "nan": c2 * np.nan, "flat": c2 * 0, "complex": c2 * 1j}.items():
        np.save(f"{name}.npy", array)
    Path("text.npy").write_text("no array")
    np.savez("many.npz", a=c2)
    for name in ("small.npy", "nan.npy", "flat.npy", "complex.npy", "text.npy", "many.npz", "absent.npy"):
        monkeypatch.setattr(sys, "argv", ["ainerd", "encode", name])
        with pytest.raises(SystemExit) as stop:
            main()
        error = capsys.readouterr().err
        assert stop.value.code == 2 and error.startswith(f"ainerd: {name}: ") and error.count("\n") == 1
