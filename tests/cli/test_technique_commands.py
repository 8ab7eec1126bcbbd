"""Commands of techniques, and findings of `check` about them."""

import json
import subprocess
import sys

import pytest

import ainerd.cli
from tests.cli.conftest import run


def check(config):
    """Return the findings about a technique, one line each."""
    findings = json.loads(run("check", "--json", config).stdout)
    return [
        (f["subject"], f["state"], f["remedy"])
        for f in findings
        if f["subject"].startswith(("technique", "marbles", "settings", "steering"))
    ]


def test_a_package_may_add_a_group_of_commands(marble):
    assert run("marble", "hello", "you").stdout == "hello you\n"


def test_broken_commands_cost_one_line(site, capsys):
    site.install("broken", {"its_commands": "import no_such_module"}, commands="its_commands:app")
    assert ainerd.cli.app is not None
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line.startswith("ainerd: the commands of 'broken' are left out: ModuleNotFound")
    shown = run("--help").stdout
    assert "watch" in shown and "analyze" in shown and "broken" not in shown


def test_a_package_may_add_one_command(site):
    """`ainerd mcp` and `ainerd steer` come in this way."""
    text = "def knock(times: int = 1):\n    print('knock ' * times)"
    site.install("knock", {"a_knock": text}, commands="a_knock:knock")
    assert run("knock", "--times", "2").stdout == "knock knock \n"
    assert "--propose" in run("mcp", "--help").stdout and "--detector" in run("steer", "--help").stdout


def test_help_imports_no_technique_and_nothing_heavy(marble):
    script = """
from typer.testing import CliRunner
from ainerd.cli import app
commands = [[c] for c in ("replay", "export", "check", "watch", "steer", "analyze", "marble", "train")]
for command in ([], *commands):
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0 and len(done.output) > 200, done.output
shown = CliRunner().invoke(app, ["--show-completion", "bash"], prog_name="ainerd")
heavy = {"numpy", "pandas", "torch", "tiled", "bluesky", "h5py", "sklearn", "numba"} & set(sys.modules)
assert not heavy, heavy
"""
    command = [sys.executable, "-c", f"import sys\nsys.path[:] = {sys.path!r}\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_check_asks_the_technique_of_the_settings(marble):
    (settings, technique, marbles) = check(marble)
    assert settings == ("settings", f"{marble}: instrument 'here'", "")
    assert technique[1].startswith("accepts its section")
    assert marbles == ("marbles", "3 wide", "")
    marble.write_text(marble.read_text().replace("width = 3", "width = -1"))
    assert check(marble)[-1] == ("marbles", "-1 wide", "make it wider")


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ("nowhere:best", "'nowhere:best' cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        ("executed:best", None),
    ],
)
def test_check_runs_nothing_that_the_settings_name(marble, marble_site, policy, problem):
    text = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()"
    (marble_site.folder / "executed.py").write_text(text)
    steering = f'[steering]\npolicy = "{policy}"\n[steering.knobs.y]\nrange = [0, 1]\n'
    marble.write_text(marble.read_text().replace("[steering.bounds]\nx = [0.0, 1.0]\n", steering))
    findings = json.loads(run("check", marble, "--json").stdout)
    states = [(each["subject"], each["state"]) for each in findings if each["subject"].startswith("steering")]
    assert states == ([] if problem is None else [("steering.policy", problem)])
    assert not (marble_site.folder / "executed.ran").exists()


@pytest.mark.parametrize(
    ("before", "after", "last"),
    [
        ("width = 3", "wide = 3", "marble.wide: unknown key, did you mean 'width'?"),
        ("width = 3", "width = 7", "its check ended with RuntimeError: the box is stuck"),
        ('"marble"', '"marbel"', "technique: 'marbel' is not installed, did you mean 'marble'?"),
    ],
)
def test_check_reports_settings_that_the_technique_refuses(marble, before, after, last):
    marble.write_text(marble.read_text().replace(before, after))
    subject, state, remedy = check(marble)[-1]
    assert last in state and remedy and "\n" not in state
