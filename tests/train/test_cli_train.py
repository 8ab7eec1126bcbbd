"""The command `train`."""

import pytest
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd_xpcs.latent import Encoder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_train_writes_a_loadable_encoder(here):
    result = run("train", "pca", "--out", "mine", "--seed", 1, "--n", 40)
    assert result.exit_code == 0 and "pca.safetensors" in result.output
    assert Encoder.load(here / "mine" / "pca.safetensors").n_latent == 16
    with pytest.raises(ValueError, match="train pca has no steps"):
        run("train", "pca", "--steps", 3)
