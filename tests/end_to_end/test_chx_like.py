"""An instrument like CHX: Eigers of classic ophyd that announce series of files as AD_EIGER2 or AD_EIGER_SLICE."""

import importlib.util
import logging
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd.agent import build_observer
from ainerd.cli import app
from ainerd.config import Settings
from ainerd.documents import MissingFrames, Run, documents_of
from ainerd.results import ResultStore
from ainerd.technique import RunInfo
from tests.end_to_end.sessions import started

PROFILE = Path(__file__).resolve().parents[2] / "profiles" / "chx_like"


@pytest.fixture(scope="module")
def names(server, tmp_path_factory):
    """Names in a session of the profile after a count of two series and a position of the agent."""
    folder = tmp_path_factory.mktemp("chx")
    with started(PROFILE, folder, server.client().create_container(folder.name), PROFILE / "small.toml") as names:
        names["eiger500k_single"].cam.num_images.put(130)
        names["documents"] = documents = []
        names["RE"].subscribe(lambda *document: documents.append(document))
        names["RE"](names["bps"].mv(names["fast_sh"], "open"))
        names["RE"](names["bp"].count([names["eiger500k_single"], names["diff"]], num=2))
        names["RE"](names["agent"].explore(1))
        assert names["agent"].drain(120)
        yield names


def test_each_series_has_a_result(names):
    table = ResultStore(names["client"]["ainerd"]).table(all=True)
    assert table["status"].tolist() == ["complete"] * 3, table["reason"].dropna().tolist()
    assert table["event"].tolist() == [1, 2, 1] and table["n_frames"].eq(130).all()
    assert table["transmission"].iloc[2:].eq(1.0).all() and table[["diff_xh", "diff_yh"]].notna().all(axis=None)


def test_its_documents_and_files_are_those_of_chx(names):
    resources = [doc for name, doc in names["documents"] if name == "resource"]
    datums = [doc for name, doc in names["documents"] if name == "datum"]
    assert {doc["spec"] for doc in resources} == {"AD_EIGER2"} and len(resources) == 2
    assert [doc["datum_kwargs"] for doc in datums] == [{"seq_id": k} for k in range(1, 4)]
    with h5py.File(f"/{resources[0]['resource_path']}_2_master.h5") as master:
        lengths = [len(master[f"entry/data/data_{k:06d}"]) for k in (1, 2)]
        assert lengths == [100, 30] and "data_000003" not in master["entry/data"]
        assert master["entry/instrument/detector/frame_time"][()] == pytest.approx(0.1)


def test_its_raw_run_is_in_tiled_without_its_frames(names):
    uid = ResultStore(names["client"]["ainerd"]).table(all=True)["raw_uid"].iloc[0]
    raw, settings = names["client"]["raw"], names["settings"]
    run = Run(settings.detector, settings.storage.frames, raw)
    for name, doc in documents_of(raw[uid]):
        run(name, doc)
    assert run.n_events == 2 and run.reading("diff_xh", 2) == pytest.approx(5.0, abs=0.05)
    with pytest.raises(MissingFrames, match="are not read, and Tiled cannot read"):
        list(run.blocks(np.array([0]), wait_s=0.0))


def flow_of_the_page(monkeypatch, key):
    """Return the module for Prefect in the documentation; its command runs in this process."""
    prefect = SimpleNamespace(task=lambda **options: lambda run: run, get_run_logger=lambda: logging.getLogger("flow"))
    secret = SimpleNamespace(load=lambda name, _sync: SimpleNamespace(get=lambda: key))
    system = SimpleNamespace(Secret=secret)
    for name, made in {"prefect": prefect, "prefect.blocks": None, "prefect.blocks.system": system}.items():
        monkeypatch.setitem(sys.modules, name, made or SimpleNamespace())
    spec = importlib.util.spec_from_file_location("chx", PROFILE.parents[1] / "docs/how-to/files/facilities/chx.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(command, *, env, **options):
        assert command[0] == module.AINERD
        done = CliRunner().invoke(app, command[1:], env=env)
        return subprocess.CompletedProcess(command, done.exit_code, done.stdout, done.stderr + str(done.exception))

    module.SETTINGS, module.subprocess = str(PROFILE / "small.toml"), SimpleNamespace(run=run)
    return module


def test_the_flow_for_prefect_runs_the_command(names, monkeypatch):
    uid = ResultStore(names["client"]["ainerd"]).table(all=True)["raw_uid"].iloc[0]
    flow = flow_of_the_page(monkeypatch, str(names["client"].context.api_key))
    flow.analyse(uid)
    with pytest.raises(RuntimeError, match="there is no run 1234567"):
        flow.analyse("1234567")


def test_a_trigger_for_each_frame_makes_an_exposure_of_slices(names, server, tmp_path):
    settings = Settings.load(PROFILE / "small.toml")
    settings.storage.directory, settings.storage.frames = tmp_path, names["settings"].storage.frames
    for key in ("image", "n_frames", "frame_time_s"):
        setattr(settings.detector, key, getattr(settings.detector, key).replace("single", "manual"))
    names["RE"](names["bps"].mv(names["fast_sh"], "open"))
    documents, detector = [], names["eiger500k_manual"]
    with closing(build_observer(settings, server.client().create_container(tmp_path.name))) as observer:
        token = names["RE"].subscribe(observer)
        names["RE"](names["bp"].count([detector, names["diff"]], num=130), lambda *document: documents.append(document))
        names["RE"].unsubscribe(token)
        assert observer.drain(120)
        (key,) = observer.results.table("complete").index
        c2 = observer.results.array(key, "c2")
    (resource,) = [doc for name, doc in documents if name == "resource"]
    datums = [doc["datum_kwargs"] for name, doc in documents if name == "datum"]
    assert resource["spec"] == "AD_EIGER_SLICE"
    assert [each["frame_num"] for each in datums] == [*range(130)] and len({each["seq_id"] for each in datums}) == 1
    prefix = f"/{resource['resource_path']}_{datums[0]['seq_id']}"
    frames = []
    for k in (1, 2):
        with h5py.File(f"{prefix}_data_{k:06d}.h5") as file:
            frames.append(file["entry/data/data"][()].reshape(-1, 128 * 192))
    info = RunInfo(raw_uid="", n_frames=130, frame_shape=(128, 192), frame_time_s=0.1)
    analysis = names["agent"].technique.begin(info)
    analysis.push(np.concatenate(frames)[:, analysis.pixels], 0)
    np.testing.assert_array_equal(c2, analysis.finish().arrays["c2"])
