"""The diffraction detector under a RunEngine that pauses."""

import threading

import bluesky.plans as bp
import h5py
import pytest
from bluesky.utils import RunEngineInterrupted

from sim_devices import Crystal, DiffractionDetector, SimClock


def test_a_frame_is_taken_again_after_a_pause(run_engine, documents, tmp_path):
    detector = DiffractionDetector(
        name="diffraction", directory=tmp_path, clock=SimClock(20), crystal=Crystal(16), temperature=lambda: 100.0
    )  # 10 s in .5 s
    threading.Timer(0.2, run_engine.request_pause).start()
    with pytest.raises(RunEngineInterrupted):
        run_engine(bp.count([detector], 2))
    run_engine.resume()
    indices = [tuple(doc["indices"].values()) for name, doc in documents if name == "stream_datum"]
    assert indices == [(0, 1), (1, 2)]
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert len(file["entry/data/data"]) == 2
