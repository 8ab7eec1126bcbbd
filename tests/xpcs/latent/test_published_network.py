"""The published network, against an encoding computed elsewhere."""

import os
from pathlib import Path

import numpy as np
import pytest

from ainerd_xpcs.latent import Encoder, ModelError, from_unit, to_unit

DATA = os.environ.get("AINERD_REFERENCE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="AINERD_REFERENCE_DATA is not set")


@pytest.fixture(scope="module")
def weights():
    return Path(str(DATA)) / "published_autoencoder_state_dict.pth"


def test_the_affine_rule():
    np.testing.assert_allclose(to_unit([1.0, 1.2, 0.5, 2.0]), [0.125, 0.625, 0, 1], atol=1e-6)
    np.testing.assert_allclose(to_unit(from_unit(np.linspace(0, 1, 50))), np.linspace(0, 1, 50), atol=1e-6)


@needs_data
def test_it_reproduces_the_reference(weights):
    encoder = Encoder.load(weights)
    reference = np.load(weights.parent / "published_target_reference.npz")
    c2 = from_unit(np.load(weights.parent / "published_target_c2.npy"))
    z = encoder.encode(c2[None])
    assert z.shape == (1, encoder.n_latent) and encoder.name == "published" and len(encoder.sha256) == 64
    np.testing.assert_allclose(z[0], reference["latent"], atol=1e-4)
    np.testing.assert_allclose(to_unit(encoder.decode(z)[0]), reference["reconstruction"], atol=1e-4)


@needs_data
def test_another_network_is_refused(weights, tmp_path):
    import torch

    state = torch.load(weights, weights_only=True)
    extra, reshaped = {**state, "more": torch.zeros(1)}, {**state, "bottleneck.1.weight": torch.zeros(32, 1024)}
    for name, wrong in (("extra", extra), ("reshaped", reshaped), ("tensor", torch.zeros(3))):
        path = tmp_path / f"{name}.pth"
        torch.save(wrong, path)
        with pytest.raises(ModelError, match=f"{name}.pth: not the published network"):
            Encoder.load(path)


def test_code_in_a_weight_file_is_not_run(tmp_path):
    import torch

    path = tmp_path / "module.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(ModelError, match="not a plain torch state dict"):
        Encoder.load(path)
