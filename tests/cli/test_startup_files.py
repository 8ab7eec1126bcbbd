"""Startup files of `ainerd init --startup`, outside the checkout, beside devices that exist; IPython runs one."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import run

OPHYD = """
import numpy as np
from bluesky import RunEngine
from ophyd import Component, Device, Signal
from ophyd.sim import NullStatus, SynAxis

class Camera(Device):
    image = Component(Signal, value=np.zeros((80, 128, 192), np.uint16))
    num_images = Component(Signal, value=80, kind="config")
    acquire_period = Component(Signal, value=0.1, kind="config")
    rng = np.random.default_rng(0)

    def trigger(self):
        self.image.put(self.rng.poisson(0.3, (80, 128, 192)).astype(np.uint16))
        return NullStatus()

class Rheometer(Device):
    shear_rate_setpoint = Component(Signal, value=7.0)
    dwell = Component(Signal, value=0.0)
    temperature = Component(Signal, value=298.0)

RE = RunEngine({})
rheometer = Rheometer(name="rheometer")
camera, sample_x, sample_y = Camera(name="camera"), SynAxis(name="sample_x"), SynAxis(name="sample_y")
"""
ASYNC = """
from pathlib import Path
import numpy as np
from bluesky import RunEngine
from ophyd_async import core, sim

class Photons(sim.PatternGenerator):
    rng = np.random.default_rng(0)

    def generate_point(self, channel=1, high_energy=False):
        self._file.blob = (self.rng.poisson(0.3, self._file.blob.shape) + 0.5) / self._exposure  # rounded down
        return 1.0

RE, pattern = RunEngine({}), Photons()
with core.init_devices():
    num_images, frame_time = core.soft_signal_rw(int, 80), core.soft_signal_rw(float, 0.005)
    stage = sim.SimStage(pattern)
    paths = core.StaticPathProvider(core.UUIDFilenameProvider(), Path("frames").resolve())
    det = sim.SimBlobDetector(paths, pattern, config_sigs=[num_images, frame_time])
"""
BITS = """
from .ainerd_agent import start_agent
agent = start_agent(RE, oregistry)
"""
DEVICES = """
ophyd.sim.SynAxis:
- {name: sample_x}
- {name: sample_y}
instrument.devices.simulated.Camera:
- {name: camera}
instrument.devices.simulated.Rheometer:
- {name: rheometer}
"""
CHECK = """
RE(agent.explore(1))
assert agent.drain(60)
(row,) = agent.results.table(all=True).to_dict("records")
assert row["n_frames"] == 80, row
if "temperature" in row:  # it has sheared the sample, and stands
    assert row["temperature"] == 298.0 and (rheometer.dwell.get(), rheometer.shear_rate_setpoint.get()) == (0.1, 0.0)
print("measured", row["status"])
"""
KEYS = {"n_frames": "camera_num_images", "frame_time_s": "camera_acquire_period", "image": "camera_image"}
ASYNC_KEYS = {"n_frames": "num_images", "frame_time_s": "frame_time", "image": "det"}
CASES = {
    "ophyd": (KEYS, ("sample_x", "sample_y"), [128, 192]),
    "bits": (KEYS, ("sample_x", "sample_y"), [128, 192]),
    "ophyd-async": (ASYNC_KEYS, ("stage-x", "stage-y"), [240, 320]),
}


def init(folder, layout, startup):
    keys, motors, shape = CASES[layout]
    answers = [f"detector.{key}={value}" for key, value in keys.items()]
    answers += [
        "steering.bounds={" + ", ".join(f'"{motor}" = [0.0, 0.1]' for motor in motors) + "}",
        "rheo_xpcs.partition.energy_keV=11", f"rheo_xpcs.partition.shape={shape}",
        f"rheo_xpcs.partition.beam_center_px=[{shape[0] / 2}, {shape[1] / 2}]", "rheo_xpcs.partition.distance_m=6.0",
        "rheo_xpcs.partition.q_range_inv_nm=[0.019, 0.029]",
    ]  # fmt: skip
    if layout != "ophyd-async":
        answers += ["recorded.readings.temperature=rheometer_temperature", "rheo_xpcs.preshear=[[100.0, 0.1]]"]
    given = (part for each in answers for part in ("--set", each))
    done = run("init", folder / "agent.toml", "--startup", startup, "--layout", layout, *given)
    assert done.exit_code == 0, done.output


@pytest.fixture
def environment(server, bank_file, tmp_path, variables, own_folder):
    """Set the variables of the environment that the settings need, and work in a folder."""
    (tmp_path / "frames").mkdir()
    uri = server.client().create_container(tmp_path.name).uri
    variables(AINERD_STORAGE__URI=uri, AINERD_STORAGE__API_KEY=server.api_key)
    variables(AINERD_RHEO_XPCS__BANK=bank_file, IPYTHONDIR=tmp_path / "ipython")


def written(folder, layout, devices):
    """Write a profile's startup files, and return their folder."""
    startup = folder / "profile" / "startup"
    init(folder, layout, startup)
    (startup / "00_devices.py").write_text(devices)
    last = startup / "90_ainerd.py"
    last.write_text(last.read_text().replace("5000, 0.01", "80, 0.005"))
    return startup


@pytest.mark.parametrize(("layout", "devices"), [("ophyd", OPHYD), ("ophyd-async", ASYNC)])
def test_the_written_files_measure(environment, tmp_path, layout, devices):
    names = {}
    for file in sorted(written(tmp_path, layout, devices).glob("*.py")):
        names = runpy.run_path(str(file), init_globals=names)
    try:
        exec(CHECK, names)
    finally:
        names["agent"].close()


def test_the_written_files_measure_in_an_instrument_of_bits(environment, tmp_path):
    bits = Path(sys.prefix) / "bits"
    if not bits.is_dir():
        pytest.skip("there is no apsbits: `make test` installs it from tests/cli/bits.txt")
    outside = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(bits), "src", *os.environ.get("PYTHONPATH", "").split(":")])
    }
    (tmp_path / "src").mkdir(), (tmp_path / "scripts").mkdir(), (tmp_path / "pyproject.toml").touch()
    subprocess.run([sys.executable, bits / "bin" / "bits-create", "instrument"], env=outside, check=True)
    package = tmp_path / "src" / "instrument"
    init(tmp_path, "bits", package)
    (package / "devices" / "simulated.py").write_text(OPHYD.partition("RE = ")[0])
    (package / "configs" / "devices.yml").write_text(DEVICES)
    changes = {
        "configs/iconfig.yml": (r"(SPEC_DATA_FILES:\s+ENABLE:) true", r"\1 false"),
        "startup.py": (r"subscribers=\[bec, cat\]", "subscribers=[cat]"),
    }
    for name, change in changes.items():  # as the page says
        text, n = re.subn(*change, (package / name).read_text())
        assert n == 1, name
        (package / name).write_text(text + BITS * (name == "startup.py"))
    command = [sys.executable, "-m", "IPython", "-c", f"from instrument.startup import *{CHECK}"]
    done = subprocess.run(command, env=outside, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "measured" in done.stdout, done.stdout + done.stderr


def test_a_session_without_the_devices_gets_their_names(tmp_path):
    init(tmp_path, "ophyd", tmp_path / "startup")
    written = (tmp_path / "startup" / "90_ainerd.py").read_text()
    with pytest.raises(SystemExit, match="no RE, camera, sample_x, sample_y, rheometer: a startup file before"):
        exec(compile(written, "90_ainerd.py", "exec"), {"__file__": str(tmp_path / "startup" / "90_ainerd.py")})
    done = run("init", tmp_path / "other.toml", "--startup", tmp_path / "startup")
    assert "90_ainerd.py exists: give another name, or --force" in str(done.exception)
    assert not (tmp_path / "other.toml").exists()
