"""Two Tiled servers on one PostgreSQL, with a Redis between them; needs both programs, and Chromium for the pages.

pages  the tests of a campaign's pages: the agent writes through one server, the browser reads and steers by the other
demo   the demo through one server, while the other is followed; all that the first wrote is read by the second
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from agents.demo import campaign
from agents.demo.simulated import hardware_beside
from agents.rheo_xpcs import TOML
from ainerd.config import Settings
from ainerd.results import ResultStore
from ainerd.server import connect, open_catalog
from ainerd.server.pages import write_ui_settings
from studies._postgres import KEY, free_port, postgres, tiled_on
from studies._session import SMALL
from studies._tools import Study, report

study = Study(__doc__)
TESTS = Path(__file__).resolve().parents[1] / "tests" / "end_to_end" / "test_browser.py"


@study.part
def pages() -> None:
    """Run the tests of the pages; end with their exit status if one fails."""
    with two_servers() as (folder, one, two):
        unclosed = ["-W", "ignore:unclosed:ResourceWarning"]  # connections to servers that live longer than the tests
        command = [sys.executable, "-m", "pytest", "-q", *unclosed, TESTS, f"--basetemp={folder / 'frames' / 'tests'}"]
        environment = os.environ | {"AINERD_TEST_SERVERS": f"{one} {two} {KEY}"}
        if status := subprocess.run([*command, "--timeout=900"], env=environment, check=False).returncode:
            sys.exit(status)


@study.part
def demo(quick: bool = False, seed: int = 3) -> None:
    """Run the demo, on the small detector with three exposures if ``--quick``."""
    with two_servers() as (folder, one, two):
        settings = Settings.load(SMALL if quick else TOML)
        settings.storage.uri, settings.storage.api_key = one, type(settings.storage.api_key)(KEY)
        heard = set[str]()
        results = connect(two, KEY, timeout_s=60)  # read by the other server while the first is written to
        options: dict[str, Any] = {"runs": ((2, 100, 0.5), (1, 300, 1 / 6)), "hardware": hardware_beside(SMALL)}
        with following(results, heard):
            campaign.run(settings, seed=seed, output=folder / "frames" / "demo", **(options if quick else {}))
        ours, theirs = (ResultStore(connect(uri, KEY, timeout_s=60)["ainerd"]) for uri in (one, two))
        table = theirs.table()
        same = table.astype(str).equals(ours.table().astype(str))
        maps = [np.array_equal(ours.array(key, "c2"), theirs.array(key, "c2")) for key in table.index]
        row = {
            "exposures": len(table),
            "complete": int((table["status"] == "complete").sum()),
            "table the same on both": int(same),
            "maps the same on both": sum(maps),
            "heard of by the other at once": sum(uid in heard for uid in table["raw_uid"]),
        }
        every = dict.fromkeys(("complete", "maps the same on both", "heard of by the other at once"), "exposures")
        report("servers_demo", [row], least={"table the same on both": 1, **every}, seed=seed, quick=quick)


@contextmanager
def following(root: Any, heard: set[str]) -> Iterator[None]:
    """Add the runs that a server says are new, to `heard`."""
    raw, _ = open_catalog(root)

    def created(update: Any) -> None:
        heard.add(update.key)

    subscription = raw.subscribe()
    subscription.child_created.add_callback(created)
    subscription.start_in_thread()
    try:
        yield
    finally:
        subscription.disconnect()


@contextmanager
def two_servers() -> Iterator[tuple[Path, str, str]]:
    """Yield a folder, whose ``frames`` both may read, and their addresses."""
    folder = Path(tempfile.mkdtemp(prefix="ainerd-servers-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user if this one is root
    os.environ["TILED_UI_SETTINGS"] = str(write_ui_settings(folder / "ui.yml"))
    try:
        with postgres(folder / "postgres"), redis() as os.environ["STREAMING_CACHE"]:
            with tiled_on(folder) as one, tiled_on(folder) as two:
                yield folder, one, two
    finally:
        shutil.rmtree(folder)


@contextmanager
def redis() -> Iterator[str]:
    """Serve a Redis with a password, which is in no argument of a process, and yield its address."""
    program, port, word = shutil.which("redis-server"), free_port(), secrets.token_hex(8)
    if program is None:
        raise RuntimeError("no redis-server: apt install redis-server")
    with subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdin is not None and server.stdout is not None
            server.stdin.write(f'bind 127.0.0.1\nport {port}\nsave ""\nrequirepass {word}\n')
            server.stdin.close()
            if not any("Ready to accept connections" in line for line in server.stdout):
                raise RuntimeError("Redis did not start")
            yield f"redis://:{word}@127.0.0.1:{port}"
        finally:
            server.terminate()


if __name__ == "__main__":
    study()
