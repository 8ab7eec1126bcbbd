"""The command `train`."""

import pytest
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd_xpcs.latent import Encoder


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_train_writes_a_loadable_encoder(tmp_path):
    result = run("train", "pca", "--out", tmp_path / "mine", "--seed", 1, "--n", 40)
    assert result.exit_code == 0 and "pca.safetensors" in result.output
    assert Encoder.load(tmp_path / "mine" / "pca.safetensors").n_latent == 16
    with pytest.raises(ValueError, match="train pca has no steps"):
        run("train", "pca", "--steps", 3)
