"""The profile, started by a person and by the RE Manager, in real processes with embedded servers."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.sessions import SMALL

CHECKOUT = Path(__file__).resolve().parents[2]
PROFILE = CHECKOUT / "profiles" / "rheo_xpcs"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    return os.environ | {
        "AINERD_CONFIG": str(SMALL),
        "AINERD_STORAGE__DIRECTORY": str(folder / "tiled"),
        "AINERD_STORAGE__FRAMES": json.dumps([str(folder / "frames")]),
        "IPYTHONDIR": str(folder / "ipython"),
        "MPLBACKEND": "Agg",
    }


def ipython(code, environment, cwd=CHECKOUT):
    command = [sys.executable, "-m", "IPython", f"--profile-dir={PROFILE}", "-c", code]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=170)


def test_the_sessions_of_the_readme_work_when_pasted(environment, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    code = [*blocks, "assert len(agent.results.table()) == 4", "agent"]
    done = ipython("\n".join(code), environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "campaign.png").stat().st_size > 50_000
    assert re.search(r"results\s+4", done.stdout) and "next" in done.stdout  # the agent shows itself


def test_the_re_manager_loads_the_same_startup_files_and_keeps_results(environment):
    script = f"""
from bluesky_queueserver.manager.profile_ops import devices_from_nspace, load_profile_collection
names = load_profile_collection({str(PROFILE / "startup")!r}, patch_profiles=False)
assert {{"lambda750k", "stage", "rheometer"}} <= set(devices_from_nspace(names))
assert len(names["agent"].results) == 4  # of the session before
names["RE"](names["agent"].explore(1))
assert len(names["agent"].results) == 5
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def on_a_server(environment, server, tmp_path):
    """The same environment with a catalog on a running server."""
    uri = server.client().create_container(tmp_path.name).uri
    return environment | {"AINERD_STORAGE__URI": uri, "AINERD_STORAGE__API_KEY": server.api_key}


def test_a_failed_start_has_an_exit_status(on_a_server):
    done = ipython("print('on we go')", on_a_server | {"AINERD_RHEO_XPCS__ENCODER": __file__})
    assert done.returncode != 0
    assert "on we go" not in done.stdout
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "ainerd:" in line]
    assert "test_profile.py" in line and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"AINERD_STORAGE__URI": "http://127.0.0.1:9"}, "no server answers at http://127.0.0.1:9"),
        ({"AINERD_CONFIG": "nowhere.toml"}, "cannot read nowhere.toml"),
    ],
)
def test_a_failed_start_prints_one_line(on_a_server, override, message, monkeypatch):
    for name, value in (on_a_server | override).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=rf"^ainerd: [^\n]*{message}[^\n]*$"):
        runpy.run_path(str(min((PROFILE / "startup").glob("*.py"))))
