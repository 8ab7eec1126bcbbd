"""The learned point of an exposure: variables that change it, and variables that do not."""

import numpy as np
import pytest

from ainerd.novelty import find_regimes
from ainerd_xpcs.dynamics import Dynamics, clean_exposure, noisy
from ainerd_xpcs.latent import SHIPPED, Encoder, ModelError, read_tensors, run_embedding, write_weights
from sim_devices import Yielding

FLUID = Dynamics(family="fluid", tau_s=0.05)
FLOW = Dynamics(family="flow", tau_s=1.0, static=0.5, flow_rad_s=40.0, flow_deg=90.0)
PHI = np.arange(10.0, 360.0, 20.0)


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


def run(dynamics, phi=PHI, *, contrast=0.2, seed=0):
    """Maps (n, 64, 64) of 250 photons a pixel and 570 pixels a bin."""
    clean = np.broadcast_to(contrast * clean_exposure(dynamics, phi), (len(phi), 64, 64)).astype(np.float32)
    return noisy(clean, n_pixels=570, n_frames=1, counts=250, rng=np.random.default_rng(seed))[:, 0]


def apart(a, b):
    return float(np.linalg.norm(a - b))


def test_it_is_the_default_and_needs_no_torch(encoder):
    assert encoder.name == "run"
    z = encoder.encode(run(FLUID))
    assert z.shape == (18, encoder.n_latent) == (18, 64) and z.dtype == np.float32
    linear = Encoder.load("pca")
    np.testing.assert_array_equal(z[:, :16], linear.encode(run(FLUID)))
    np.testing.assert_array_equal(encoder.decode(z, size=64), linear.decode(z[:, :16], size=64))
    assert encoder.linear.sha256 == linear.sha256 and linear.linear is linear


@pytest.mark.parametrize("sample", [0, 1, 4, 5])
def test_exposures_with_one_rate_of_events_are_one_regime(encoder, sample):
    points, counts = [], set()
    for k, begin in enumerate(np.arange(60.0, 420.0, 70.0)):
        events = [((t - begin) / 50, 5 * size) for t, size in Yielding(sample).between(begin, begin + 50)]
        counts.add(len(events))
        yields = Dynamics(family="avalanche", tau_s=4.0, exponent=1.2, events=tuple(events))
        points.append(encoder.encode_run(run(yields, seed=k)))
    assert len(counts) > 1
    assert find_regimes(np.array(points), width=3 * encoder.scatter).n_regimes == 1


@pytest.mark.parametrize("change", [{"contrast": 0.1}, {"contrast": 0.3}, {"seed": 3}])
def test_neither_contrast_nor_noise_matters(encoder, change):
    assert apart(encoder.encode_run(run(FLUID, **change)), encoder.encode_run(run(FLUID))) < encoder.scatter


def test_any_number_of_bins_in_any_order(encoder):
    maps, whole = run(FLOW), encoder.encode_run(run(FLOW))
    order = np.random.default_rng(0).permutation(18)
    np.testing.assert_allclose(encoder.encode_run(maps[order], phi=PHI[order]), whole, atol=1e-4)
    for phi in (np.arange(5.0, 180.0, 10.0), np.arange(0.0, 360.0, 45.0)):
        assert apart(encoder.encode_run(run(FLOW, phi), phi=phi), whole) < 2 * encoder.scatter
    for n in (1, 2, 5):
        assert encoder.encode_run(maps[:n], phi=np.full(n, np.nan)).shape == (encoder.n_point,)


def test_other_encoders_use_run_embedding():
    for name in ("pca", "ours"):
        encoder = Encoder.load(name)
        z = encoder.encode(run(FLOW))
        np.testing.assert_array_equal(encoder.point(z), run_embedding(encoder, z))
        assert encoder.point(z, phi=np.full(18, np.nan))[-1] == 0  # no anisotropy where azimuths are not known


def test_weights_for_other_maps_are_refused(tmp_path):
    tensors, recipe = read_tensors(SHIPPED / "run.safetensors", "run")
    write_weights(tmp_path / "other.safetensors", tensors, recipe | {"maps": ["a", "b"]})
    with pytest.raises(ModelError, match="made for other weights"):
        Encoder.load(tmp_path / "other.safetensors")
