"""Analyse a run that has ended: call `analyse(ref)` in `processing_flow` of chx-workflows.

The command runs in an environment of its own, which may have another Bluesky than the beamline.
"""

import os
import subprocess

from prefect import get_run_logger, task
from prefect.blocks.system import Secret

AINERD = "/nsls2/data/chx/shared/ainerd/bin/ainerd"
SETTINGS = "/nsls2/data/chx/shared/ainerd/agent.toml"


@task(retries=2, retry_delay_seconds=10)
def analyse(uid: str) -> None:
    """Write the results of a run; the task fails if the command does, with its messages."""
    key = Secret.load("tiled-chx-api-key", _sync=True).get()
    command = [AINERD, "replay", "--json", "--config", SETTINGS, uid]
    done = subprocess.run(
        command, env={**os.environ, "AINERD_STORAGE__API_KEY": key}, capture_output=True, text=True, check=False
    )
    get_run_logger().info(done.stdout)
    if done.returncode:
        raise RuntimeError(done.stderr)
