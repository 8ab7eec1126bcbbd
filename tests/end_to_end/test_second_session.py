"""Two processes of one agent on one embedded server: one steers, and the other one reads until that one has ended."""

import json
import subprocess
import sys
from contextlib import closing

import pytest

from ainerd.agent import build_observer, open_tiled
from ainerd.config import Settings
from ainerd.processes import whereabouts
from tests.end_to_end.sessions import SMALL

PROCESS = """
import json, logging, sys
from pathlib import Path
from ainerd.agent import build_observer, open_tiled
from ainerd.config import Settings

logging.basicConfig(level=logging.WARNING, format="%(message)s")
settings = Settings.load(sys.argv[1])
settings.storage.directory = Path(sys.argv[2])
client, close = open_tiled(settings.storage)
agent = build_observer(settings, client)
agent.quiet = True
for line in sys.stdin:
    try:
        print(json.dumps(repr(eval(line))), flush=True)
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"), flush=True)
agent.close()
close()
"""


class Process:
    """A session in a process of its own, which evaluates expressions."""

    def __init__(self, folder):
        self.log = folder / "session.log"
        command = [sys.executable, "-c", PROCESS, str(SMALL), str(folder / "tiled")]
        with open(self.log, "a") as log:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True}
            self.process = subprocess.Popen(command, **pipes)

    def __call__(self, expression):
        self.process.stdin.write(f"{expression}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def place(tmp_path):
    settings = Settings.load(SMALL)
    settings.storage.directory = tmp_path / "tiled"
    client, close = open_tiled(settings.storage)
    yield tmp_path, lambda: closing(build_observer(settings, client)), client
    close()


@pytest.mark.fault(
    "A second session of an agent starts while one lives, and the first one is killed (-9)",
    "The second one says who steers and reads; it takes over after the kill, and decisions stay",
)
@pytest.mark.timeout(300)
def test_a_second_session_reads_until_the_first_is_killed(place, caplog):
    folder, session, client = place
    first = Process(folder)
    assert first("agent.steers") == "True" and first("agent.hold('tea')") == "None"
    first("agent.drain()")
    with session() as second:
        (line,) = [each for each in caplog.messages if "is steered by" in each]
        assert f"(process {first.process.pid} of " in line and "agent.take_over() steers from here" in line
        held = f"{whereabouts()['user']}: tea"
        assert not second.steers and second.status()["held"] == held and second.status()["reads"]
        for act in (second.release, second.accept, lambda: second.note("x"), lambda: second.follow("tiled", None)):
            with pytest.raises(RuntimeError, match=r"another session steers: .*agent\.take_over\(\)"):
                act()
        n_events = len(client["ainerd/changes"].values().first())
        with pytest.raises(RuntimeError, match="is steered by another session on "):
            second.take_over()
        first.kill()
        second.take_over()
        assert second.steers and second.status()["held"] == held
        second.release()
        assert second.drain() and len(client["ainerd/changes"].values().first()) > n_events
    with session() as third:  # the second one has ended
        assert third.steers and third.status()["held"] == ""
