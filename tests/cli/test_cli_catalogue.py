"""The commands that talk to a server: `similar`, `export`, `check`."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from ainerd import __version__
from ainerd.config import Settings
from ainerd.processes import whereabouts
from ainerd.results import AgentNode, ResultStore
from ainerd.server import open_catalog
from ainerd_xpcs.latent import Encoder
from tests.cli import conftest
from tests.results.conftest import make_analysis, make_record

SMALL = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs" / "small.toml"
SETTINGS = SMALL.read_text().replace("../../output/small/", "")


@pytest.fixture(scope="module")
def catalogue(place):
    """A server with four runs and their results, and the store with the keys of the results."""
    raw, ainerd = open_catalog(place.client())
    store, keys = ResultStore(ainerd), []
    for i in range(4):
        uid, time_ = f"{i}{i}{i}{i}-run", 1.7e9 + i
        raw.create_container(uid, metadata={"start": {"uid": uid, "time": time_}})
        record = make_record(raw_uid=uid, scan_id=i, run_time=time_, positions={"sample_x": float(i)})
        keys.append(store.begin(record))
        store.complete(keys[i], make_analysis(seed=i, novelty_p=0.5))
    return place, store, keys


@pytest.fixture
def run(catalogue, variables):
    """Run a command with the server."""
    server, _, _ = catalogue
    variables(AINERD_STORAGE__URI=server.uri, AINERD_STORAGE__API_KEY=server.api_key)

    def run(*arguments, **env):
        done = conftest.run(*arguments, **env)
        assert server.api_key not in done.output
        return done

    return run


def test_a_followed_log_has_each_line_once(run, catalogue, monkeypatch):
    _, store, _ = catalogue
    store.log("first line")
    waits = []

    def wait(_):
        waits.append(None)
        if len(waits) == 2:
            raise KeyboardInterrupt
        store.log("second line")

    monkeypatch.setattr("ainerd.cli._status.time", SimpleNamespace(sleep=wait))
    lines = [line[21:] for line in run("log", "-f", "-n", 1).output.splitlines()]
    store.container["log"].delete_contents([*store.logbook().index], external_only=False)
    assert lines == ["first line", "second line"]


def test_a_result_is_exported_by_the_first_characters_of_its_key(run, catalogue, tmp_path):
    _, store, keys = catalogue
    done = run("export", keys[1][:8], tmp_path / "one.nxs")
    assert done.exit_code == 0 and str(tmp_path / "one.nxs") in done.output, done.output
    with h5py.File(tmp_path / "one.nxs") as file:
        np.testing.assert_array_equal(file["entry/twotime/two_time_corr_func"], store.array(keys[1], "c2"))


def test_status_prints_the_state(run, catalogue, tmp_path):
    server, _, _ = catalogue
    (tmp_path / "agent.toml").write_text(SETTINGS.replace('name = "rheo_xpcs"', 'name = "ainerd"'))
    unwritten = Settings.load(tmp_path / "agent.toml").storage.unwritten
    unwritten.mkdir(parents=True)
    (unwritten / "kept.jsonl").touch()
    child = subprocess.Popen(["sleep", "60"])
    at, node = {**whereabouts(), "pid": child.pid}, AgentNode(server.client()["ainerd"], "ainerd")
    node.write_state({"at": at, "health": {"closed": False, "heard": time.time()}})
    done = run("status", "--config", tmp_path / "agent.toml")
    child.kill(), child.wait()
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert lines[0].startswith(f"agent ainerd: at work on {at['host']} (process {child.pid} of ")
    assert lines[2] == "runs here 1 not in Tiled: agent.catch_up() writes them"
    assert lines[3] == "results 4 complete"
    assert lines[4].startswith("last scan 3 of ") and lines[4].endswith(": no regime, p = 0.5")
    assert lines[5] == "next no suggestion waits"
    status = json.loads(run("status", "--json", "--config", tmp_path / "agent.toml").output)
    assert status["at_work"] is None and status["results"] == {"complete": 4} and status["last"]["scan_id"] == 3


def test_status_answers_while_tiled_is_away(run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        done = run("status", "--tiled", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < 10  # the server's clients would try for a minute
    assert done.exit_code == 1 and "no server answers" in done.output
    done = run("status", "--tiled", tmp_path)
    assert done.exit_code == 1 and f"serve {tmp_path}" in " ".join(done.output.split())


def test_the_next_position_has_all_digits_of_a_motor_in_nanometres(run, monkeypatch):
    answer = {"status": "done", "suggestion": "1", "position": {"sample_x": 1250123.25, "T": 3.1}, "reason": "a gap"}
    monkeypatch.setattr(AgentNode, "ask", lambda *_: answer)
    assert run("next", "--agent", "here").stdout == "sample_x 1250123.25\nT 3.1\n"


def test_the_module_prints_its_version():
    done = subprocess.run([sys.executable, "-m", "ainerd", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"ainerd {__version__}\n"


def test_check_looks_at_a_server_and_leaves_it_unchanged(run, catalogue, tmp_path):
    server, _, _ = catalogue
    (tmp_path / "frames").mkdir()
    (tmp_path / "agent.toml").write_text(SETTINGS)
    before = sorted(server.client()["ainerd"])
    done = run("check", "--server", "--json", tmp_path / "agent.toml")
    findings = {finding["subject"]: finding for finding in json.loads(done.output)}
    assert done.exit_code == 0, [finding for finding in findings.values() if not finding["ok"]]
    assert Encoder.load().name == findings["encoder"]["state"] and "4 results" in findings["read"]["state"]
    assert sorted(server.client()["ainerd"]) == before


def test_check_reports_problems_and_remedies(run, tmp_path):
    def wrong(**env):
        done = run("check", "--server", "--json", tmp_path / "agent.toml", **env)
        assert done.exit_code == 1
        findings = [finding for finding in json.loads(done.output) if not finding["ok"]]
        assert all(finding["remedy"] for finding in findings)
        return {finding["subject"]: finding["state"] for finding in findings}

    (tmp_path / "agent.toml").write_text(SETTINGS.replace("0.019, 0.029", "0.019, 0.0195"))
    (tmp_path / "tiled").write_text("a file where a folder should be")
    assert set(wrong()) == {"storage.frames", "storage.directory", "partition", "server"}
    (tmp_path / "tiled").unlink()
    unwritten = Settings.load(tmp_path / "agent.toml").storage.unwritten
    unwritten.mkdir(parents=True)
    (unwritten / "a.jsonl").touch()
    states = wrong(AINERD_STORAGE__API_KEY="0" * 64)
    assert "refuses the API key" in states["server"] and states["unwritten raw runs"] == f"1 in {unwritten}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "12", "x.h5"], "no result '12'"),
        (["export", "1", "s1.xyz"], "s1.xyz: give a name that ends in"),
        (["export"], "give KEY and OUT, or --table alone"),
        (["export", "--table", "table.txt"], "give a name that ends in .csv"),
        (["next", "--agent", "nobody"], "never been an agent"),
        (["serve"], "give its FOLDER, or --config"),
        (["serve", "--config", "agent.toml"], "agent.toml names a server, http://127.0.0.1:"),
        (["replay"], "how are the runs to be analysed?"),
        (["replay", "nowhere", "--config", "agent.toml"], "there is no run nowhere"),
        (["replay", "0000-run", "--config", "agent.toml"], "run 0000-run is not finished"),
        (["export", "--table", "t.csv", "--tiled", "http://127.0.0.1:9"], "no server answers at http://127.0.0.1:9"),
    ],
)
@pytest.mark.usefixtures("run")  # with its server
def test_bad_input_is_one_line(said, tmp_path, arguments, message):
    (tmp_path / "agent.toml").write_text(SETTINGS)
    printed = said(*arguments)
    assert printed.startswith("ainerd: ") and message in printed and printed.count("\n") == 1


def test_the_log_is_printed_newest_last(run, catalogue):
    _, store, _ = catalogue
    assert "the log is empty" in run("log").output
    for text in ("one", "two", "\x1b[2Jthree\n2026-11-30 12:00:00  Ann rejected\u2028all \u202ella"):
        store.log(text)
    lines = run("log", "-n", 2).output.splitlines()
    three = "\ufffd[2Jthree 2026-11-30 12:00:00  Ann rejected all \ufffdlla"  # one line, whatever a person wrote
    assert [line.split("  ", 1)[1] for line in lines] == ["two", three]
