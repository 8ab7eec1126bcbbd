"""Mistakes in a TOML, on the command line and in Python: the messages, before anything starts."""

import os
import signal
from pathlib import Path

import pytest

import ainerd.server
from ainerd.agent import recorded_keys
from ainerd.cli._shared import stopping
from ainerd.config import Settings, SettingsError
from tests.cli.conftest import run

SMALL = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs" / "small.toml"


@pytest.mark.parametrize("key", ["start.novel", 'readings."a.b"'])
def test_a_name_that_results_use_is_refused_before_a_run_is_lost(tmp_path, key):
    section, _, name = key.partition(".")
    text = SMALL.read_text().replace("[recorded.readings]", "[recorded.start]\n\n[recorded.readings]", 1)
    added = text.replace(f"[recorded.{section}]", f'[recorded.{section}]\n{name} = "x"', 1)
    (tmp_path / "agent.toml").write_text(added)
    wanted = f"recorded.{key.replace(chr(34), '')}: results have another use for it, give it another name"
    with pytest.raises(SettingsError, match=wanted):
        recorded_keys(Settings.load(tmp_path / "agent.toml"))
    checked = run("check", tmp_path / "agent.toml")
    assert checked.exit_code == 1 and wanted in " ".join(checked.output.split())


def test_the_first_ctrl_c_sets_the_event_and_the_second_one_is_raised():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = stopping()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(10)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            stop.clear(), stop.wait(10)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_in_the_environment(variables):
    variables(AINERD_STORAGE__FRAMES="/data")
    with pytest.raises(SettingsError, match="AINERD_STORAGE__FRAMES: the value is not JSON; a list is"):
        Settings.load(SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("statsu", "No such command 'statsu'. Did you mean 'status'"),
        ("watch", "Missing option '--config'"),
        ("watch --config agnet.toml", "cannot read agnet.toml: No such file or directory"),
        ("watch --config agent.toml --documents zqm://localhost:5", "'zqm://localhost:5', did you mean 'zmq'? give"),
        ("watch --config agent.toml --documents runs.jsonl", "no source 'runs.jsonl': give tiled"),
        ("log", "no server is named: give --tiled URL or FOLDER, or --config"),
        ("log --tiled localhost:8000", "'localhost:8000' is neither the address of a server nor a folder"),
        ("log --tiled http://me:secret@localhost:9", "no server answers at http://localhost:9 (ConnectError)"),
        ("serve .", ". is not the folder of an embedded server"),
        ("serve . --frames nowhere", "'--frames': dir 'nowhere' does not exist"),
        ("init --technique rheo_xpc new.toml", "there is no technique 'rheo_xpc': did you mean 'rheo_xpcs'?"),
    ],
)
def test_on_the_command_line(said, tmp_path, variables, monkeypatch, arguments, message):
    variables(COLUMNS=200)
    monkeypatch.delattr(ainerd.server.EmbeddedServer, "start")  # none may be started
    (tmp_path / "agent.toml").write_text(SMALL.read_text())
    assert message in said(*arguments.split())
