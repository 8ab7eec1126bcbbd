"""The startup files of the profile, with an embedded server for the RE Manager's loader; sessions: test_leaving."""

import atexit
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from bluesky_queueserver.manager.profile_ops import devices_from_nspace, load_profile_collection

from tests.end_to_end.sessions import SMALL

PROFILE = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs"


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of the loader
def test_the_re_manager_loads_the_startup_files(tmp_path, monkeypatch):
    monkeypatch.setenv("AINERD_CONFIG", str(SMALL))
    monkeypatch.setenv("AINERD_STORAGE__DIRECTORY", str(tmp_path / "tiled"))
    monkeypatch.setenv("AINERD_STORAGE__FRAMES", json.dumps([str(tmp_path / "frames")]))
    names = load_profile_collection(str(PROFILE / "startup"), patch_profiles=False)
    agent, close_tiled = names["agent"], names["close_tiled"]
    try:
        assert {"lambda750k", "stage", "rheometer"} <= set(devices_from_nspace(names))
        names["RE"](agent.explore(1))
        assert agent.drain() and len(agent.results) == 1
    finally:
        for close in (agent.close, close_tiled):
            close()
            atexit.unregister(close)


def test_a_failed_start_has_an_exit_status(tmp_path):
    environment = os.environ | {"AINERD_CONFIG": "nowhere.toml", "IPYTHONDIR": str(tmp_path)}
    command = [sys.executable, "-m", "IPython", f"--profile-dir={PROFILE}", "-c", "print('on we go')"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode != 0
    assert "on we go" not in done.stdout
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "ainerd:" in line]
    assert "cannot read nowhere.toml" in line and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"AINERD_STORAGE__URI": "http://127.0.0.1:9"}, "no server answers at http://127.0.0.1:9"),
        ({"AINERD_CONFIG": "nowhere.toml"}, "cannot read nowhere.toml"),
    ],
)
def test_a_failed_start_prints_one_line(override, message, monkeypatch):
    for name, value in ({"AINERD_CONFIG": str(SMALL)} | override).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=rf"^ainerd: [^\n]*{message}[^\n]*$"):
        runpy.run_path(str(min((PROFILE / "startup").glob("*.py"))))
