"""Startup files of `ainerd init --startup` are run by IPython, outside the checkout, beside devices that exist."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import ainerd.cli

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

RE = RunEngine({})
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
oregistry = {"camera": camera, "sample_x": sample_x, "sample_y": sample_y}  # as ophyd-registry's
from .ainerd_agent import start_agent
agent = start_agent(RE, oregistry)
"""
CHECK = """
RE(agent.explore(1))
assert agent.drain(60)
(row,) = agent.results.table().to_dict("records")
assert row["n_frames"] == 80, row
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
        'rheo_xpcs.partition.detector=""', f"rheo_xpcs.partition.shape={shape}",
        f"rheo_xpcs.partition.beam_center_px=[{shape[0] / 2}, {shape[1] / 2}]", "rheo_xpcs.partition.distance_m=6.0",
        "rheo_xpcs.partition.q_range_inv_nm=[0.019, 0.029]",
    ]  # fmt: skip
    command = ["init", str(folder / "agent.toml"), "--yes", "--startup", str(startup), "--layout", layout]
    done = CliRunner().invoke(ainerd.cli.app, [*command, *(part for each in answers for part in ("--set", each))])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("layout", CASES)
def test_what_was_written_measures_in_a_fresh_session(layout, server, bank_file, tmp_path):
    if layout == "ophyd-async":
        pytest.importorskip("ophyd_async.sim")
    (tmp_path / "frames").mkdir()
    if layout == "bits":
        folder, code = tmp_path / "instrument", "from instrument.startup import *\n" + CHECK
        init(tmp_path, layout, folder)
        (folder / "__init__.py").touch()
        (folder / "startup.py").write_text(OPHYD + BITS)
    else:
        folder, code = tmp_path / "profile" / "startup", CHECK
        init(tmp_path, layout, folder)
        (folder / "00_devices.py").write_text(ASYNC if layout == "ophyd-async" else OPHYD)
        written = folder / "90_ainerd.py"
        written.write_text(written.read_text().replace("5000, 0.01", "80, 0.005"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "AINERD_STORAGE__URI": server.client().create_container(tmp_path.name).uri,
        "AINERD_STORAGE__API_KEY": server.api_key,
        "AINERD_RHEO_XPCS__BANK": str(bank_file),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    command = [sys.executable, "-m", "IPython", f"--profile-dir={tmp_path / 'profile'}", "-c", code]
    (tmp_path / "profile").mkdir(exist_ok=True)
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "measured" in done.stdout, done.stdout + done.stderr


def test_a_session_without_the_devices_is_told_which(tmp_path):
    init(tmp_path, "ophyd", tmp_path / "startup")
    written = (tmp_path / "startup" / "90_ainerd.py").read_text()
    with pytest.raises(SystemExit, match="no RE, camera, sample_x, sample_y: a startup file before this one"):
        exec(compile(written, "90_ainerd.py", "exec"), {"__file__": str(tmp_path / "startup" / "90_ainerd.py")})
    again = ["init", str(tmp_path / "other.toml"), "--yes", "--startup", str(tmp_path / "startup")]
    done = CliRunner().invoke(ainerd.cli.app, again)
    assert "90_ainerd.py exists: give another name, or --force" in str(done.exception)
    assert not (tmp_path / "other.toml").exists()
