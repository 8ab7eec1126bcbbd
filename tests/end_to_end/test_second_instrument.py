"""Another instrument, changed by TOML and names alone, run as in CI."""

import shlex
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd.results import ResultStore
from tests.end_to_end.sessions import started

CHECKOUT = Path(__file__).resolve().parents[2]
WORKFLOW = yaml.safe_load((CHECKOUT / "docs/how-to/files/ainerd-ci.yml").read_text())
STEPS = {step["name"]: shlex.split(step["run"]) for step in WORKFLOW["jobs"]["agent"]["steps"] if "name" in step}


def ainerd(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def names(server, tmp_path_factory):
    """Names in a session of the profile after the steps of the workflow."""
    folder = tmp_path_factory.mktemp("second")
    (command, profile, flag, code) = STEPS["The agent measures two positions"]
    assert (command, flag) == ("ipython", "-c") and profile.startswith("--profile-dir=")
    config = CHECKOUT / WORKFLOW["jobs"]["agent"]["env"]["AINERD_CONFIG"]
    client = server.client().create_container(folder.name)
    with started(CHECKOUT / profile.partition("=")[2], folder, client, config) as names:
        exec(code, names)
        yield names


@pytest.fixture
def store(names):
    return ResultStore(names["client"]["ainerd"])


def test_its_results_have_its_motors_and_its_ring(names, store):
    table = store.table(all=True)
    for name, (low, high) in names["settings"].steering.bounds.items():
        assert table[name].between(low - 0.01, high + 0.01).all() and table.attrs["units"][name] == "mm"
    assert not {"sample_x", "sample_y"} & set(table)
    assert (table["stress_mean"] > 50).all() and (table["time_since_shear"] > 0).all()
    kept = store.configuration(table["digest"].iloc[0])
    assert ((0.02 < kept.arrays["q"]) & (kept.arrays["q"] < 0.028)).all()
    assert kept.arrays["roi_map"].shape == (514, 1030) and kept.metadata["instrument"]["detector"] == "eiger500k"
    assert [store.array(key, "c2").shape for key in table.index] == [(12, 256, 256)] * 2
    run = names["client"]["raw"][table["raw_uid"].iloc[0]]
    assert "eiger_image" in run["eiger"].metadata["data_keys"]


def test_the_other_steps_of_the_workflow(names, store):
    ainerd(*STEPS["The table of results"][1:])
    exec(STEPS["Two results are complete"][2])
    exported = pd.read_csv("results.csv", index_col="key")
    assert exported["stage_h [mm]"].to_list() == store.table(all=True)["stage_h"].to_list()
