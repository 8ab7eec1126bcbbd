"""Frames as ophyd-async announces them, flown and triggered, by the plans of docs/how-to/your-detector.md."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from ainerd.config import Detector
from ainerd.documents import Run

core = pytest.importorskip("ophyd_async.core")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "your-detector.md"
PIXELS = np.array([3, 1000, 40_000])


@pytest.mark.parametrize("how", ["number_of_events=40", "collections_per_event=40"])
def test_its_frames_are_read(tmp_path, how):
    from ophyd_async.sim import SimBlobDetector

    engine, documents = RunEngine({}), []
    with core.init_devices():
        detector = SimBlobDetector(core.StaticPathProvider(core.UUIDFilenameProvider(), tmp_path), name="det")
    (code,) = re.findall(r"^import bluesky.plan_stubs as bps\n.*?(?=^agent = )", PAGE.read_text(), re.M | re.S)
    names = {}
    exec(code.replace("number_of_events=5000", how), names)
    plan = names["flown"]
    if how.startswith("collections"):

        def plan(devices, md):
            bps, bpp = names["bps"], names["bpp"]

            @bpp.stage_decorator(devices)
            @bpp.run_decorator(md=md)
            def inner():
                yield from bps.prepare(*devices, core.TriggerInfo(collections_per_event=40, livetime=0.01), wait=True)
                yield from bps.trigger_and_read(devices)

            return inner()

    engine(plan([detector], {}), lambda name, doc: documents.append((name, doc)))
    run, blocks = Run(Detector(image="det"), [tmp_path]), []
    for name, doc in documents:
        run(name, doc)
        if name in ("event", "stream_datum", "stop"):
            blocks += [frames.copy() for _, frames in run.blocks(PIXELS, wait_s=1.0 if name == "stop" else None)]
    run.close()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        taken = file["entry/data/data"][()]
    assert np.array_equal(np.concatenate(blocks), taken.reshape(40, -1)[:, PIXELS])
