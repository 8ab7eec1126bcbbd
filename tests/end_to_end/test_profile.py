"""The profile says in one line why it cannot start."""

import os
import subprocess
import sys
from pathlib import Path

PROFILE = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs"


def test_a_failed_start_has_an_exit_status(tmp_path):
    environment = os.environ | {"AINERD_CONFIG": "nowhere.toml", "IPYTHONDIR": str(tmp_path)}
    command = [sys.executable, "-m", "IPython", f"--profile-dir={PROFILE}", "-c", "print('on we go')"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode != 0
    assert "on we go" not in done.stdout
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "ainerd:" in line]
    assert "cannot read nowhere.toml" in line and "Traceback" not in done.stderr
