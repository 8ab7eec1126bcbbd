"""The IPython profile, as a person starts it: real processes, one embedded server each."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL

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


@pytest.mark.parametrize("time", ["first", "second"])
def test_explore_works_and_what_was_found_stays(environment, time):
    done = ipython(
        "n = len(agent.results); RE(agent.explore(2)); assert len(agent.results) == n + 2; print('was', n)",
        environment,
    )
    assert done.returncode == 0, done.stderr
    assert f"was {0 if time == 'first' else 2}" in done.stdout


def test_the_sessions_of_the_readme_work_when_pasted(environment, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    done = ipython("\n".join(blocks) + "\nassert len(agent.results.table()) == 8\nagent", environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "campaign.png").stat().st_size > 50_000
    assert re.search(r"results\s+8", done.stdout) and "next" in done.stdout  # the agent shows itself


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"AINERD_STORAGE__URI": "http://127.0.0.1:9"}, "no server answers at http://127.0.0.1:9"),
        ({"AINERD_RHEO_XPCS__ENCODER": __file__}, "test_profile.py"),
        ({"AINERD_CONFIG": "nowhere.toml"}, "cannot read nowhere.toml"),
    ],
)
def test_a_bad_start_is_one_line_and_no_success(environment, override, message):
    done = ipython("print('on we go')", environment | override)
    assert done.returncode != 0
    assert "on we go" not in done.stdout
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "ainerd:" in line]
    assert message in line and "Traceback" not in done.stderr


def test_the_re_manager_loads_the_same_startup_files(environment):
    script = f"""
from bluesky_queueserver.manager.profile_ops import devices_from_nspace, load_profile_collection
names = load_profile_collection({str(PROFILE / "startup")!r}, patch_profiles=False)
assert {{"lambda750k", "stage", "rheometer"}} <= set(devices_from_nspace(names))
names["agent"].drain()  # runs that an earlier session left
before = len(names["agent"].results)
names["RE"](names["agent"].explore(1))
assert len(names["agent"].results) == before + 1
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
