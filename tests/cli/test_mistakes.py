"""Mistakes in a TOML, on the command line and in Python: the messages, before anything starts."""

import re
from pathlib import Path

import pytest

import ainerd.server
from ainerd.agent import recorded_keys
from ainerd.config import Settings, SettingsError
from tests.cli.conftest import run

SMALL = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs" / "small.toml"
X = "sample_x = [0.0, 10.0]"


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


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (X, "sample_x = [10.0, 0.0]", "steering.bounds: sample_x needs two limits, the lower one first, got [10, 0]"),
        (f"{X}\nsample_y = [0.0, 10.0]", "", "steering.bounds: Dictionary should have at least 1 item"),
        ("smallest_feature = 1.0", "smallest_feature = 300", "smallest_feature = 300 is wider than the bounds (10)"),
        ("smallest_feature = 1.0", 'smallest_feature = "1 mm"', "got '1 mm'"),
        ('sample_x = "mm"', 'sampel_x = "mm"', "units.sampel_x: nothing has that name, did you mean 'sample_x'?"),
        ('stress = "rh', 'shear_rate = "rh', "recorded: series.shear_rate is also in readings, rename one of them"),
        ("[storage]", '[storage]\nuri = "localhost:8000"', "not an address, did you mean 'http://localhost:8000'?"),
        ('name = "rheo_xpcs"', 'nam = "rheo_xpcs"', "nam: unknown key, did you mean 'name'?"),
        (X, "sample_x = [-1e308, 1e308]", "sample_x is limited to ±1e+09, got [-1e+308, 1e+308]: is the unit right?"),
        ("late_s = 0.5", "late_s = 1e6", "storage.late_s: Input should be less than or equal to 86400"),
        ('["../../output/small/frames"]', '["/"]', "storage.frames: / would let a run read every file of this machine"),
    ],
)
def test_in_a_toml(tmp_path, before, after, message):
    text = SMALL.read_text()
    assert before in text
    (tmp_path / "agent.toml").write_text(text.replace(before, after, 1))
    with pytest.raises(SettingsError) as error:
        Settings.load(tmp_path / "agent.toml")
    assert str(error.value).startswith(f"{tmp_path / 'agent.toml'}: ") and message in str(error.value)


KNOBS = """
[steering.knobs]
x = { range = [0, 10], length = 1.0 }
T = { range = [300, 400], length = 20.0 }
"""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("range = [300, 400]", "values = [300]", "steering.knobs.T: values needs two or more, got [300.0]"),
        ("length = 20.0", "length = 20.0, spede = 1", "steering.knobs.T.spede: unknown key, did you mean 'speed'?"),
    ],
)
def test_in_a_knob_one_line_names_the_key(tmp_path, before, after, message):
    text = re.sub(r"^\[steering.*?(?=^\[recorded)", "", SMALL.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^sample_[xy] =.*\n", "", text, flags=re.MULTILINE)
    assert before in KNOBS
    (tmp_path / "agent.toml").write_text(text + "[steering]\nbeam_size = 0.1\n" + KNOBS.replace(before, after))
    with pytest.raises(SettingsError) as error:
        Settings.load(tmp_path / "agent.toml")
    assert str(error.value) == f"{tmp_path / 'agent.toml'}: {message}"


def test_in_the_environment(monkeypatch):
    monkeypatch.setenv("AINERD_STORAGE__FRAMES", "/data")
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
        ("init --technique rheo_xpc new.toml", "there is no technique 'rheo_xpc': did you mean 'rheo_xpcs'?"),
    ],
)
def test_on_the_command_line(said, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delattr(ainerd.server.EmbeddedServer, "start")  # none may be started
    (tmp_path / "agent.toml").write_text(SMALL.read_text())
    assert message in said(*arguments.split())
