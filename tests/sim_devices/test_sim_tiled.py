"""Both modes, through a Tiled server and back."""

import bluesky.plans as bp
import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from tiled.structures.core import Spec


@pytest.fixture
def raw(server, tmp_path):
    return server.client().create_container(tmp_path.name, specs=[Spec("CatalogOfBlueskyRuns", version="3.0")])


def test_frames_through_tiled(run_engine, raw, instrument, fly, tmp_path):
    token = run_engine.subscribe(TiledWriter(raw, batch_size=1))
    (flown,) = run_engine(fly(instrument))
    (counted,) = run_engine(bp.count([instrument.detector], 2))
    run_engine.unsubscribe(token)

    flown = raw[flown]["lambda750k/lambda750k_image"]
    counted = raw[counted]["primary/lambda750k_image"]
    assert flown.shape == (120, 1, 128, 192) and counted.shape == (2, 120, 128, 192)
    assert flown.dtype == counted.dtype == np.uint16
    frames = sorted((tmp_path / "frames of a run").iterdir(), key=lambda path: path.stat().st_size)  # twice as many
    for array, path in zip((flown, counted), frames, strict=True):
        with h5py.File(path) as file:
            expected = file["entry/data/data"][:].reshape(array.shape)
        assert np.array_equal(array[:], expected)
        assert np.array_equal(array[1, 0, 3:60, 5:70], expected[1, 0, 3:60, 5:70])
