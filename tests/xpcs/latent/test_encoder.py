"""The linear encoder, and refusals common to all encoders."""

import resource
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import zoom

from ainerd_xpcs.dynamics import known_maps
from ainerd_xpcs.latent import Encoder, ModelError, read_tensors, write_weights


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load("pca")


@pytest.fixture(scope="module")
def maps():
    """Six clean maps of contrast 0.2 at 64 px."""
    return 1 + 0.2 * known_maps(6, np.random.default_rng(5))


def test_a_map_of_256_is_averaged_over_blocks(encoder, maps):
    fine = np.kron(maps, np.ones((4, 4)))
    fine += np.tile(np.array([[1, -1], [-1, 1]]) * 0.05, (128, 128))  # vanishes in every 4 × 4 block
    z = encoder.encode(fine)
    assert z.dtype == np.float32 and z.shape == (6, encoder.n_latent) == (6, 16)
    np.testing.assert_allclose(z, encoder.encode(maps), atol=1e-4)


def test_decoding_interpolates_between_cell_centres(encoder, maps):
    z = encoder.encode(maps)
    coarse, fine = encoder.decode(z, size=64), encoder.decode(z)
    peer = zoom(coarse[0], 4, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(fine[0], peer, atol=1e-5)


def test_bad_maps_are_refused(encoder):
    with pytest.raises(ValueError, match=r"got \(2, 100, 100\)"):
        encoder.encode(np.ones((2, 100, 100)))
    maps = np.ones((3, 256, 256))
    maps[1, 5, 5] = np.nan
    with pytest.raises(ValueError, match="map 1 of 3"):
        encoder.encode(maps)
    with pytest.raises(ValueError, match=r"\(n, 16\)"):
        encoder.decode(np.zeros((2, 8)))
    with pytest.raises(ValueError, match="size must be"):
        encoder.decode(np.zeros((2, 16)), size=128)


def test_a_written_file_is_read_back(encoder, tmp_path):
    path = tmp_path / "copy.safetensors"
    write_weights(path, {"mean": encoder.mean, "components": encoder.components}, {"kind": "pca"})
    copy = Encoder.load(path)
    np.testing.assert_array_equal(copy.components, encoder.components)
    assert copy.name == "pca" and len(copy.sha256) == 64 and copy.sha256 != encoder.sha256
    assert Encoder.load("pca").sha256 == encoder.sha256


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_bad_file_is_named(suffix, tmp_path):
    missing, damaged = tmp_path / f"missing{suffix}", tmp_path / f"damaged{suffix}"
    damaged.write_bytes(b"\x10\0\0\0\0\0\0\0{ not a model at all")
    for path in (missing, damaged):
        with pytest.raises(ModelError, match=path.name) as info:
            Encoder.load(path)
        assert "\n" not in str(info.value)


def test_a_foreign_file_is_named(encoder, tmp_path):
    path = tmp_path / "mine.safetensors"
    for message, tensors, kind in (
        ("of kind 'bank', which is no encoder", {"g1_squared": np.zeros((1, 2080))}, "bank"),
        ("where components, mean are expected", {"mean": encoder.mean}, "pca"),
        ("do not fit each other, or this version", {"mean": encoder.mean[:5], "components": encoder.components}, "pca"),
        ("not finite", {"mean": encoder.mean * np.nan, "components": encoder.components}, "pca"),
    ):
        write_weights(path, tensors, {"kind": kind})
        with pytest.raises(ModelError, match=f"mine.safetensors: .*{message}"):
            Encoder.load(path)
    with pytest.raises(ModelError, match="of kind 'pca', where an ainerd file of kind 'bank' is expected"):
        read_tensors(path, "bank")
    with pytest.raises(ModelError, match="no such model"):
        Encoder.load("umap")


@pytest.mark.parametrize("model", ["pca", "run"])
def test_bins_without_numbers_have_no_point(model):
    encoder = Encoder.load(model)
    z = np.zeros((3, encoder.n_latent))
    for weights in (np.zeros(3), [1.0, np.nan, 1.0], [2.0, -1.0, 1.0]):
        with pytest.raises(ValueError, match="weights must be finite, not negative, and not all 0"):
            encoder.point(z, weights=weights)
    z[1, 3] = np.nan
    with pytest.raises(ValueError, match="latent vectors hold values that are not finite"):
        encoder.point(z)
    nothing = np.empty((0, 64, 64), np.float32)
    assert encoder.decode(encoder.encode(nothing)).shape == encoder.denoise(nothing).shape == (0, 256, 256)


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "mine.safetensors"
    write_weights(path, {"mean": np.arange(3.0)}, {"kind": "mine"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # as on a full disk
    try:
        with pytest.raises(OSError):
            write_weights(path, {"mean": np.zeros(10_000)}, {"kind": "mine"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_tensors(path, "mine")[0]["mean"].tolist() == [0, 1, 2] and [*tmp_path.iterdir()] == [path]


def test_torch_is_not_imported_at_run_time():
    code = "import sys; from ainerd_xpcs.latent import Encoder; Encoder.load(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
