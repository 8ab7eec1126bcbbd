"""One seed, one pair of files."""

import numpy as np
import pytest

from ainerd.latent import Encoder
from ainerd.latent.training import train_pca
from ainerd.techniques.rheo_xpcs import Bank


def test_the_seed_decides(tmp_path):
    seen = []
    first = train_pca(tmp_path / "a", seed=3, exposures=70, bank=20, advance=seen.append)
    again = train_pca(tmp_path / "b", seed=3, exposures=70, bank=20)
    other = train_pca(tmp_path / "c", seed=4, exposures=70, bank=20)
    assert sum(seen) == 90
    for one, two, three in zip(first, again, other, strict=True):
        assert one.read_bytes() == two.read_bytes() != three.read_bytes()
    encoder, bank = Encoder.load(first[0]), Bank.load(first[1])
    assert bank.n == 20 and encoder.n_latent == 16
    gram = encoder.components @ encoder.components.T
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-5)


def test_nothing_to_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        train_pca(tmp_path, exposures=0)
