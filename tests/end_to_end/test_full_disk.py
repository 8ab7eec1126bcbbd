"""A disk that is really full, or read-only: a small file system in memory, with the frames and the server on it."""

import os
import subprocess
import sys
import threading

import pytest

from ainerd.agent import Disks
from tests.end_to_end.sessions import Session
from tests.journals import left_in
from tests.waiting import until

SIZE_MB, LEAST_MB = 160, 40
SOON_S = 180


def mount(folder, options=f"size={SIZE_MB}m"):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")
    mount(folder)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def session(disk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_STORAGE__LEAST_FREE_MB", str(LEAST_MB))
        patch.setattr("ainerd.agent._agent.LOOK_S", 0.1)
        session = Session(disk)
        yield session
        session.close()


def fill(disk, leave_mb):
    """Write a file that leaves so much room, and return it."""
    file = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
    with file.open("wb") as writing:
        try:
            for _ in range(max(0, int(free / 1e6 - leave_mb))):
                writing.write(bytes(1_000_000))
            if not leave_mb:
                writing.write(bytes(1_000_000))
        except OSError:
            assert not leave_mb
    return file


@pytest.fixture
def exploring(session):
    """Explore in another thread; raise its error at the end."""
    problems, threads = [], []

    def explore(n):
        def run():
            try:
                session.RE(session.agent.explore(n))
            except BaseException as error:
                problems.append(error)

        session.RE.context_managers = []
        threads.append(threading.Thread(target=run))
        threads[0].start()

    yield explore
    for thread in threads:
        thread.join(SOON_S)
    assert problems == []


@pytest.mark.fault("A disk has too little free space", "The plan waits with one message, and goes on with free space")
def test_a_plan_waits_for_room(session, disk, exploring, capsys):
    assert session.agent.health()["disk"] is None and 0 < session.agent.health()["free_mb"] < 1.1 * SIZE_MB
    filler = fill(disk, LEAST_MB / 2)
    exploring(1)
    until(lambda: session.agent._state.waits)
    health = session.agent.health()
    assert health["free_mb"] < LEAST_MB and f"less room than {LEAST_MB} MB" in health["disk"]
    assert len(session.agent.results) == 0
    filler.unlink()
    until(lambda: len(session.agent.results) == 1)
    assert session.agent.health()["disk"] is None
    output = " ".join(capsys.readouterr().out.split())
    assert output.count("the plan waits because") == 1 and "Traceback" not in output


@pytest.mark.fault("The disk gets full during an exposure", "It is taken again once there is room; nothing is lost")
def test_an_exposure_that_did_not_fit_is_taken_again(session, disk, exploring, caplog):
    filled = []

    def on_start(name, doc):
        if "suggestion_id" in doc and not filled:
            filled.append(fill(disk, 2))  # the detector's file is open, and its frames do not fit

    token = session.RE.subscribe(on_start, "start")
    before = (session.store.table()["status"] == "complete").sum()
    exploring(1)
    until(lambda: session.agent._state.waits)
    assert "less room" in session.agent._state.waits
    filled[0].unlink()
    until(lambda: (session.store.table()["status"] == "complete").sum() == before + 1)
    session.RE.unsubscribe(token)
    failed = session.store.table().query("status == 'failed'")["reason"]
    assert failed.str.contains("of 100 frames").any()  # the detector stopped, and its file could be closed
    lines = [record.getMessage() for record in caplog.records]
    assert sum("is taken again" in line for line in lines) == 1
    assert (
        len(session.store.table()) == before + 1 + (session.store.table()["status"] == "failed").sum()
    )  # the other has a reason


def test_the_words_for_a_disk(tmp_path):
    def problem(folder):
        disks = Disks(folder, [tmp_path / "absent"], 0.0)
        disks.look().result(10)
        return disks.problem

    assert problem(tmp_path / "new") is None
    small = tmp_path / "small"
    small.mkdir()
    mount(small, "size=1m")
    try:
        fill(small, 0)
        assert problem(small) == f"{small} has less room than 0 MB (storage.least_free_mb)"
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        assert problem(small) == f"{small} is read-only"
    finally:
        subprocess.run(["umount", small], check=True)


KILLED = """
import contextlib, os, sys
from pathlib import Path
from ainerd.runs import Journal
folder = Path(sys.argv[1])
journal = Journal(folder / "journal")
for uid in "abcd":
    journal("start", {"uid": uid, "time": 1.0, "note": "x" * 60_000})
    with open(folder / "filler", "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    journal("descriptor", {"uid": f"d{uid}", "run_start": uid, "time": 1.0, "data_keys": {}, "name": "x" * 60_000})
    if uid != "d":
        journal("stop", {"uid": f"s{uid}", "run_start": uid, "time": 2.0, "exit_status": "success"})
os._exit(0)
"""


@pytest.mark.fault(
    "The session is killed while its disk is full", "Its runs are on the disk, in files whose room was reserved"
)
def test_a_session_killed_while_the_disk_is_full_loses_no_run(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount(small, "size=8m")
    try:
        subprocess.run([sys.executable, "-c", KILLED, small], check=True)
        left = {docs[0][1]["uid"]: [name for name, _ in docs] for _, docs in left_in(small / "journal")}
        assert left == dict.fromkeys("abcd", ["start", "descriptor", "stop"])
        (small / "filler").unlink()
        assert {path.suffix for path in small.glob("journal/*/*")} == {".jsonl", ""}  # no spare file, the lock
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_disk_that_does_not_answer_blocks_nothing(tmp_path, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr("ainerd.agent._disks.SLOW_S", 0.2)
    monkeypatch.setattr("ainerd.agent._disks._free_mb", lambda folder: answers.wait(SOON_S) * 1e6)
    disks = Disks(tmp_path, [], 0.0)
    looking = disks.look()
    assert disks.look() is looking and disks.problem is None
    until(lambda: disks.problem)
    assert "does not answer" in disks.problem
    answers.set()
    looking.result(10)
    assert disks.problem is None
