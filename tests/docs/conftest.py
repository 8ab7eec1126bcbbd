"""The namespace of the examples in docstrings: docs/reference/api.md describes it."""

import runpy
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest
from bluesky.plans import count
from event_model import compose_run

from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.results import AtlasRecord, ResultRecord, ResultStore, SuggestionRecord, digest
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from tests.techniques.beamline import Beamline
from tests.techniques.installing import TOY, installed

SMALL = TOML.with_name("small.toml")
PARAMETERS = {"technique": "toy", "version": 1}
RUNS = {1: (0.5, 0.6), 2: (0.6, 0.4), 3: (4.0, 0.01), 4: (4.2, 0.2), 5: (0.55, 0.7)}  # tau_s and p of each scan


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture(scope="session")
def Toy():
    """The technique that docs/how-to/your-technique.md writes."""
    return runpy.run_path(str(TOY / "toy.py"))["Toy"]


@pytest.fixture(scope="session")
def movie():
    """Speckle of contrast 1 that forgets within 10 frames: g2 is 1 + exp(-2 lag / 10)."""
    rng, field, frames = np.random.default_rng(0), 0, np.empty((256, 40, 40), np.uint16)
    for t in range(256):
        field = np.exp(-0.1) * field + np.sqrt(1 - np.exp(-0.2) * (t > 0)) * rng.normal(size=(2, 40, 40))
        frames[t] = rng.poisson(5 * np.square(field).sum(0))
    frames.flags.writeable = False
    return frames


@pytest.fixture(scope="session")
def client(server):
    """A catalog with the results of `RUNS` and of a sixth run, which failed."""
    client = server.client().create_container("examples")
    raw, ainerd = open_catalog(client)
    store = ResultStore(ainerd, agent="ainerd", digest=digest(PARAMETERS))
    lag, dusk, keys = np.geomspace(0.01, 10, 31), datetime(2026, 11, 19, 18, tzinfo=UTC).timestamp(), []
    for scan in range(1, 7):
        uid, positions, run_time = f"run-{scan}", {"sample_x": float(scan)}, dusk + 600 * scan
        raw.create_container(uid, metadata={"start": {"uid": uid, "time": run_time, "scan_id": scan}})
        asked = SuggestionRecord(id=f"suggestion-{scan}", agent="ainerd", positions=positions, reason="nobody was here")
        store.add_suggestion(asked)
        record = ResultRecord(
            raw_uid=uid, raw_path=f"raw/{uid}", scan_id=scan, run_time=run_time, suggestion_id=asked.id,
            start={"sample": "PEG 3", "user": "ada"}, technique="toy", agent="ainerd", parameters=PARAMETERS,
            positions=positions, units={"sample_x": "mm", "tau_s": "s", "load": "N"},
        )  # fmt: skip
        keys.append(store.begin(record))
        if scan not in RUNS:
            store.fail(keys[-1], "zero photons in the bins: is the shutter open?")
            store.set_status(asked.id, "failed", "zero photons in the bins", uid)
            continue
        tau_s, p = RUNS[scan]
        analysis = Analysis(
            embedding=np.float32([np.log(tau_s), 0.01 * scan]),
            novelty_p=p,
            arrays={"g2": 1 + 0.2 * np.exp(-2 * lag[None] / tau_s), "tau": lag},
            dims={"g2": ("roi", "tau"), "tau": ("tau",)},
            summary={"tau_s": tau_s},
            calibration={"id": "bank", "n": 500, "alpha": 0.05},
        )
        load = np.arange(4.0), 10.0 * scan + np.arange(4.0)
        store.complete(keys[-1], analysis, series={"load": load}, n_frames=1000, frame_time_s=0.01)
        store.set_status(asked.id, "measured", raw_uid=uid)
        store.log(f"scan {scan}: tau {tau_s:g} s", raw_uid=uid)
    labels = dict(zip(keys, [0, 0, 1, 1, 0], strict=False))
    store.add_atlas(AtlasRecord(n_regimes=2, supported_range=(1, 3), labels=labels))
    return client


@pytest.fixture(scope="session")
def store(client):
    """The results of that agent."""
    return ResultStore(client["ainerd"], agent="ainerd", digest=digest(PARAMETERS))


@pytest.fixture(scope="session")
def address(client, server):
    """The address of that catalog, with its key."""
    return f"{client.uri}?api_key={server.api_key}"


@pytest.fixture(scope="session")
def documents():
    """A run of five frames at sample_x = 3; the sample gets brighter."""
    run = compose_run(metadata={"scan_id": 1, "plan_name": "count"})
    numbers = {name: {"dtype": "number", "shape": [], "source": "sim"} for name in ("sample_x", "temperature")}
    image = {"dtype": "array", "shape": [6, 8], "source": "sim"}
    primary = run.compose_descriptor(name="primary", data_keys={"camera_image": image, **numbers})
    events = []
    for i in range(5):
        read = {"camera_image": np.full((6, 8), 2 + i), "sample_x": 3.0, "temperature": 300.0 + i}
        time = run.start_doc["time"] + i
        events.append(("event", primary.compose_event(data=read, timestamps=dict.fromkeys(read, time), time=time)))
    return [("start", run.start_doc), ("descriptor", primary.descriptor_doc), *events, ("stop", run.compose_stop())]


@pytest.fixture
def beamline(server, tmp_path):
    """A camera on a motor, a RunEngine, and settings with a catalog of their own and that technique."""
    place = server.client().create_container(f"beamline-{tmp_path.name}")
    uri = f"{place.uri}?api_key={server.api_key}"
    with installed(TOY, tmp_path / "site"), closing(Beamline(tmp_path, uri)) as made:
        yield made


@pytest.fixture
def lambda750k(tmp_path):
    """A simulated detector that flies, of 100 frames."""
    instrument = simulated_instrument(tmp_path / "frames", hardware_beside(SMALL), speed=1000)
    instrument.detector.cam.num_images.put(100)
    return instrument.detector


@pytest.fixture
def five_frames():
    """A plan of one exposure: five frames."""
    return lambda devices, md: count(devices, 5, md=dict(md))


@pytest.fixture
def agent(beamline, five_frames):
    """An agent of these, which is attached to that RunEngine."""
    agent = beamline.start_agent(acquire=five_frames)
    agent.quiet = True
    return agent
