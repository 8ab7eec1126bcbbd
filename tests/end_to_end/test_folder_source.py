"""A beamline without documents: its acquisitions in a folder become runs with results."""

import importlib.util
import json
import threading
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd.agent import build_observer
from ainerd.cli import app
from ainerd.config import Settings
from ainerd.server import open_catalog
from ainerd.technique import RunInfo
from ainerd_xpcs.technique import RheoXPCS
from sim_devices import acquire
from tests.end_to_end.sessions import FRAMES, PERIOD_S, SMALL, small_beamline
from tests.waiting import until

HOOK = Path(__file__).parents[2] / "docs" / "how-to" / "files" / "folder" / "next_position.py"
PROFILE = SMALL.parents[1] / "aps_8id" / "agent.toml"


def write_qmap(path):
    """Write the bins of the small detector as a q map of APS."""
    partition = RheoXPCS.from_settings(Settings.load(SMALL).section, SMALL.parent).partition
    with h5py.File(path, "w") as file:
        maps = {"dynamic_roi_map": partition.roi_map, "static_roi_map": partition.static_map}
        for name, labels in maps.items():
            file[f"qmap/{name}"] = labels
        file["qmap/mask"] = (partition.roi_map > 0).astype("u1")
    return partition


@pytest.fixture(scope="module")
def beamline(server, tmp_path_factory):
    """Folder, settings, catalog and devices."""
    folder = tmp_path_factory.mktemp("aps")
    (folder / "data").mkdir()
    write_qmap(folder / "qmap.hdf")
    settings = Settings.load(PROFILE)
    settings.section["partition"] = {"file": str(folder / "qmap.hdf")}
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "data"]
    _, instrument = small_beamline(folder, folder / "data" / "raw")
    client = server.client().create_container(folder.name)
    open_catalog(client)
    return folder, settings, client, instrument


@contextmanager
def following(folder, settings, client, instrument):
    """Follow the folder with a new agent."""
    observer, stop = build_observer(settings, client), threading.Event()
    thread = threading.Thread(target=observer.follow, args=(f"folder:{folder / 'data'}", stop), daemon=True)
    thread.start()
    try:
        yield observer
    finally:
        stop.set()
        thread.join(30)
        observer.drain()
        observer.close()


def test_an_acquisition_becomes_a_run_with_a_result(beamline):
    folder, _, client, instrument = beamline
    instrument.stage.x.set(3.0).wait(10), instrument.stage.y.set(7.0).wait(10)
    acquire(instrument, folder / "data", "A0001_f000100")
    with following(*beamline) as observer:
        until(lambda: len(observer.results.table("complete")) == 1)
    table = observer.results.table(all=True)
    (row,) = table.to_dict("records")
    assert row["status"] == "complete" and row["sample"] == "clay"
    assert (row["sample_x"], row["sample_y"]) == pytest.approx((3.0, 7.0), abs=0.01)
    assert row["transmission"] == 1.0 and row["i0"] > 0
    assert row["incident"] == pytest.approx(row["i0"]) and row["incident_of"] == "i0 × transmission"
    stress = instrument.rheometer.measured(instrument.clock.now())["shear_stress"]
    assert row["stress_mean"] == pytest.approx(stress, rel=0.2)
    raw = client["raw"]
    assert list(raw) == [row["raw_uid"]] and raw[row["raw_uid"]].metadata["stop"]["exit_status"] == "success"
    image = raw[row["raw_uid"]]["primary"].base["lambda_image"]
    with h5py.File(folder / "data" / "A0001_f000100" / "A0001_f000100.h5") as file:
        frames = file["entry/data/data"][:]
    assert np.array_equal(np.squeeze(image[40]), frames[40])
    info = RunInfo(raw_uid="", n_frames=FRAMES, frame_shape=frames.shape[1:], frame_time_s=PERIOD_S)
    alone = observer.technique.begin(info)
    alone.push(frames.reshape(FRAMES, -1)[:, alone.pixels], 0)
    np.testing.assert_array_equal(observer.results.array(table.index[0], "c2"), alone.finish().arrays["c2"])
    # the next session finds everything done; another q map is a reason
    with following(*beamline) as again:
        acquire(instrument, folder / "data", "A0002_f000100")
        acquire(instrument, folder / "data", "C0001", **{"instrument/detector_1/qmap_file": "/maps/other.hdf"})
        until(lambda: again.concluded == 2)
    assert len(again.results.table(all=True)) == len(list(raw)) == 3
    (reason,) = again.results.table("failed", all=True)["reason"]
    assert reason == f"it names the q map other.hdf, which is not in {folder}, the folder of rheo_xpcs.partition.file"


def test_the_next_position_comes_to_python_and_to_a_hook_that_knows_only_tiled(beamline, server, variables):
    folder, _, client, instrument = beamline
    variables(AINERD_STORAGE__API_KEY=server.api_key)
    with following(*beamline) as observer:
        until(lambda: "agents" in client["ainerd"])
        command = ["next", "--json", "--tiled", client.uri, "--agent", observer.results.agent]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        first = json.loads(done.stdout)
        assert observer.results.suggestion(first["suggestion"]).status == "taken"
        for axis, x in zip((instrument.stage.x, instrument.stage.y), first["position"].values(), strict=True):
            axis.set(x).wait(10)
        acquire(instrument, folder / "data", "D0001")
        variables(AINERD_STORAGE__URI=server.uri)
        spec = importlib.util.spec_from_file_location("next_position", HOOK)
        hook = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(hook)
        hook.AINERD = "/".join(client["ainerd"].path_parts)
        second = hook.fetch(7)
        until(lambda: observer.results.suggestion(first["suggestion"]).status == "measured")  # written after the answer
        assert observer.results.suggestion(first["suggestion"]).raw_uid is not None
        assert second["suggestion"] != first["suggestion"] and second["position"] != first["position"]
        observer.hold("lunch")
        hook.WAIT_S = 1.0
        assert hook.fetch(8)["answer"]
