"""Each call of the journal, the kept runs and the raw writer to the disk fails once; Tiled fails at random."""

import builtins
import errno
import fcntl
import itertools
import os
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd.runs import Journal, RawWriter

PATH_CALLS = ("glob", "mkdir", "open", "read_text", "rename", "replace", "rmdir", "stat", "unlink", "write_text")


class Catalog(dict):
    """Raw runs that take no request: a real server would take minutes. `refusals` fail the next requests."""

    uri = "http://catalog"

    def __init__(self, refusals=()):
        super().__init__()
        self.refusals = list(refusals)

    def request(self):
        if self.refusals and self.refusals.pop():
            raise ValueError("refused")

    def __contains__(self, uid):
        self.request()
        return super().__contains__(uid)

    def delete_contents(self, uid, **_):
        self.request()
        self.pop(uid)

    def writer(self, batch_size):
        written = []

        def write(name, doc):
            self.request()
            written.append((name, doc))
            if name == "start":
                self[doc["uid"]] = SimpleNamespace(metadata={"start": doc}, documents=written)
            elif name == "stop":
                self[doc["run_start"]].metadata["stop"] = doc

        return write


@pytest.fixture(autouse=True)
def _catalog(monkeypatch):
    monkeypatch.setattr("ainerd.runs._raw._writer_of_run", Catalog.writer)


def documents_of(uid):
    described = {"uid": f"d {uid}", "run_start": uid, "time": 1.0, "data_keys": {}, "name": "primary"}
    event = {"uid": f"e {uid}", "descriptor": f"d {uid}", "time": 1.0, "seq_num": 1, "data": {}, "timestamps": {}}
    stop = {"uid": f"s {uid}", "run_start": uid, "time": 2.0, "exit_status": "success"}
    yield from (("start", {"uid": uid, "time": 1.0}), ("descriptor", described), ("event", event), ("stop", stop))


def is_whole(catalog, uid):
    run = dict.get(catalog, uid)
    return run is not None and [name for name, _ in run.documents] == ["start", "descriptor", "event", "stop"]


class Fails:
    """Lets call number `n` of `ainerd.runs` to the disk raise an error."""

    def __init__(self, monkeypatch, n, error):
        self.n, self.calls, self.error, self.lock = n, 0, error, threading.Lock()
        for owner, names in ((Path, PATH_CALLS), (os, ("fsync",)), (fcntl, ("flock",)), (shutil, ("disk_usage",))):
            for name in names:
                monkeypatch.setattr(owner, name, self.failing(getattr(owner, name)))
        monkeypatch.setattr(builtins, "open", self.opening(builtins.open))

    def count(self):
        if sys._getframe(2).f_globals["__name__"].startswith("ainerd.runs."):
            with self.lock:
                self.calls += 1
                if self.calls == self.n:
                    raise OSError(self.error, os.strerror(self.error))

    def failing(self, call):
        def called(*arguments, **options):
            self.count()
            return call(*arguments, **options)

        return called

    def opening(self, call):
        def opened(*arguments, **options):
            self.count()
            file = call(*arguments, **options)
            if "x" in arguments[1:2]:
                file.write, file.flush = self.failing(file.write), self.failing(file.flush)
            return file

        return opened


@pytest.mark.fault(
    "Any one call of the journal or the raw writer to the disk fails (stale, full, broken)",
    "Each run is in Tiled, at the latest after the next start",
)
@pytest.mark.parametrize("error", [errno.ESTALE, errno.EIO, errno.ENOSPC])
def test_a_call_that_fails_once_costs_no_run(tmp_path, monkeypatch, error):
    for n in itertools.count(1):
        folder, catalog = tmp_path / str(n), Catalog()
        dead = Journal(folder / "journal")  # of a session that was killed
        for document in documents_of("left"):
            dead(*document)
        dead.close()
        writer = RawWriter(catalog, folder, lambda: True)
        with monkeypatch.context() as patched:
            fails = Fails(patched, n, error)
            for uid in ("first", "second"):
                for document in documents_of(uid):
                    writer(*document)
                if uid == "first":
                    catalog.refusals = [True]
            writer.drain()
        writer.close()
        again = RawWriter(catalog, folder, lambda: True)
        again.make_up()
        again.close()
        missing = [uid for uid in ("left", "first", "second") if not is_whole(catalog, uid)]
        assert not missing, f"call {n}"
        assert not [*folder.rglob("*.unreadable")]
        if fails.calls < n:
            break
    assert n > 30


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.booleans(), max_size=12), min_size=1, max_size=4), st.booleans())
def test_every_run_that_began_is_in_tiled_or_kept(tmp_path_factory, refusals, is_killed):
    folder, catalog = tmp_path_factory.mktemp("runs"), Catalog()
    writer = RawWriter(catalog, folder, lambda: True)
    for i, some in enumerate(refusals):
        catalog.refusals = list(some)
        for document in documents_of(f"run {i}"):
            writer(*document)
    if is_killed:
        writer("start", {"uid": "killed", "time": 5.0})
    writer.drain()
    kept = [path.name for path in folder.rglob("*.jsonl")]
    for i in range(len(refusals)):
        assert is_whole(catalog, f"run {i}") or len(kept) > 0
    writer.close()
    catalog.refusals = []
    again = RawWriter(catalog, folder, lambda: True)
    again.make_up()
    assert all(is_whole(catalog, f"run {i}") for i in range(len(refusals))) and not again.kept()
    assert not is_killed or dict.get(catalog, "killed").metadata["stop"]["reason"] == "the session was killed"
    again.close()
