"""One seed, one file."""

import numpy as np
import pytest

from ainerd.latent import Encoder
from ainerd.latent.training import train_pca


def test_the_seed_decides(tmp_path):
    seen = []
    first = train_pca(tmp_path / "a", seed=3, exposures=70, advance=seen.append)
    again = train_pca(tmp_path / "b", seed=3, exposures=70)
    other = train_pca(tmp_path / "c", seed=4, exposures=70)
    assert sum(seen) == 70
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    encoder = Encoder.load(first)
    assert encoder.n_latent == 16
    gram = encoder.components @ encoder.components.T
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-5)


def test_nothing_to_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        train_pca(tmp_path, exposures=0)
