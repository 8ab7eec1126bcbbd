"""RunEngine, devices and Tiled at an instrument like CHX; ../../rheo_xpcs explains the parts that are the same."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agents.session import begin  # noqa: E402

TOML = Path(__file__).resolve().parents[1] / "agent.toml"
NAMES = {
    "lambda750k": "eiger500K_single", "sample_x": "diff_xh", "sample_y": "diff_yh", "attenuator": "att",
}  # fmt: skip

settings, opened = begin(TOML)  # Tiled starts while the rest is imported

import bluesky.plan_stubs as bps  # noqa: E402, F401
import bluesky.plans as bp  # noqa: E402
from bluesky import RunEngine, SupplementalData  # noqa: E402

from agents.demo.simulated import hardware_beside, simulated_instrument  # noqa: E402
from ainerd.agent import WhileRunning  # noqa: E402
from sim_devices import Eiger, ManualEiger  # noqa: E402

client, close_tiled = opened()

RE = RunEngine({}, during_task=WhileRunning())
RE.md["sample"] = "simulated"
instrument = simulated_instrument(settings.storage.frames[0], hardware_beside(settings.file), speed=60, names=NAMES)
diff, fast_sh, att = instrument.stage, instrument.shutter, instrument.attenuator
eiger500k_single = Eiger(instrument.detector)
eiger500k_manual = ManualEiger(instrument.detector, name="eiger500K_manual")  # the same camera, a trigger a frame
RE.preprocessors.append(SupplementalData(baseline=instrument.baseline))


def series(devices, md=None):
    """Plan: take one series of the Eiger, with the metadata of CHX; return its uid."""
    cam = eiger500k_single.cam
    facts = {
        "exposure time": cam.acquire_time.get(),
        "acquire period": cam.acquire_period.get(),
        "number of images": cam.num_images.get(),
        "transmission": att.transmission.get(),
        "data path": str(settings.storage.frames[0]),
    }
    return (yield from bp.count(devices, md={**facts, **(md or {})}))
