import logging
import re
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest

from ainerd.results import AtlasRecord, ConfigurationRecord, ResultRecord, ResultStore, SuggestionRecord
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd_xpcs.numerics import Partition
from tests.containers import new_container

PARAMETERS = {"size": 256, "reduction": "area"}


# pynxtools 0.16 compares integers with the texts of an enumeration, so that no value of these attributes is valid.
ITS_OWN_FAULT = re.compile(
    r"The value '[01]' at /entry/twotime/\w+/@(baseline_reference|first_point_for_fit) "
    r"should be one of the following: \['0', '1'\]\."
)


@pytest.fixture
def complaints():
    """The warnings of pynxtools on a file: faults of the file, and its own faults."""
    from pynxtools.dataconverter.validate_file import validate

    class Kept(logging.Handler):
        def emit(self, message):
            texts.append(message.getMessage().removeprefix("WARNING: "))

    texts, logger, handler = [], logging.getLogger("pynxtools"), Kept(logging.WARNING)

    def check(path):
        texts.clear()
        validate(str(path))
        own = [text for text in texts if ITS_OWN_FAULT.fullmatch(text)]
        wrong = [text for text in texts if text not in own and not text.startswith("Invalid: The entry")]
        return wrong, own

    logger.addHandler(handler)
    yield check
    logger.removeHandler(handler)


@pytest.fixture
def ainerd(server):
    """The container ``ainerd`` of a new catalog on the shared server, one for each test."""
    _, ainerd = open_catalog(new_container(server.client(), f"test-{uuid.uuid4()}"))
    return ainerd


@pytest.fixture
def store(server, ainerd):
    return ResultStore(ainerd, folder=server.directory / "results")


def make_record(**changes):
    fields = {"raw_uid": str(uuid.uuid4()), "technique": "rheo_xpcs", "agent": "ainerd", "parameters": PARAMETERS}
    fields["positions"] = {"sample_x": 1.0, "sample_y": 2.0}
    fields["units"] = {"sample_x": "mm", "sample_y": "mm", "stress": "Pa"}
    return ResultRecord(**fields | changes)


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def put(ainerd, record):
    """Write a result without arrays, in one request, as another process would; returns its key."""

    def write(**changes):
        made = record(**{"status": "complete", "embedding": [0.0], **changes})
        ainerd["results"].create_container(made.key, metadata=made.metadata(), specs=["AinerdResult"])
        return made.key

    return write


def make_analysis(*, seed=0, novelty_p=0.4, alpha=0.05, embedding=None, tau_s=float("nan"), only=None):
    rng = np.random.default_rng(seed)
    arrays = {
        "c2": 1 + rng.random((18, 16, 16), dtype=np.float32),
        "latent": rng.random((18, 16), dtype=np.float32),
        "g2": rng.random((18, 40)),
        "tau": 0.01 * np.arange(1, 41),
    }
    return Analysis(
        embedding=rng.normal(size=16).astype(np.float32) if embedding is None else np.float32(embedding),
        novelty_p=novelty_p,
        arrays={name: array for name, array in arrays.items() if name in (only or arrays)},
        dims={"c2": ("azimuth", "t1", "t2"), "latent": ("azimuth", "component")},
        summary={"beta": np.float32(0.25), "tau_s": tau_s},
        tables={"bins": {"bin": np.arange(1, 19)}},
        units={"tau_s": "s", "beta": "1"},
        model={"name": "encoder", "sha256": "0" * 64},
        calibration={"id": "bank", "n": 500, "alpha": alpha},
    )


@pytest.fixture
def analysis():
    return make_analysis


@pytest.fixture(scope="session")
def partition():
    geometry = {"detector": "lambda250k", "beam_center_px": (258.0, 250.0), "distance_m": 4.0, "energy_keV": 11.0}
    return Partition.annular(**geometry, q_range_inv_nm=(0.019, 0.029))


def add_partition(store, partition):
    instrument = {"detector": "lambda250k", "distance_m": 4.0, "energy_keV": 11.0, "pixel_m": 55e-6}
    instrument |= {"beam_center_row_px": 258.0, "beam_center_column_px": 250.0}
    about = {"instrument": instrument, "units": {"q": "1/nm", "static_q": "1/nm", "phi": "degree"}}
    record = ConfigurationRecord(technique="rheo_xpcs", parameters=PARAMETERS, **about)
    arrays = {name: getattr(partition, name) for name in ("roi_map", "static_map", "q", "phi", "static_q")}
    return store.add_configuration(record, arrays, {"roi_map": ("row", "column"), "q": ("roi",), "phi": ("roi",)})


@pytest.fixture(scope="session")
def night(server, partition):
    """A night at the beamline: nine runs along x, a suggestion behind each, two atlases. Tests only read it.

    Number 3 is novel, 5 failed, 6 is under way, 7 got no claim, 8 is run 0 analysed with other parameters.

    In a later shift numbers 9 to 11 are the events of a count, the last one partial; 12 failed through no fault of the
    data. There are notes on run 4 and on event 10, and a suggestion of each status.
    """
    client, store, keys = make_night(server, partition)
    start = {"sample": "PEG 4", "user": "bob", "proposal": 300, "plan": "count"}
    place = {"positions": {"sample_x": 9.5, "sample_y": 8.0}, "scan_id": 20, "run_time": 1.9e9, "raw_uid": "count"}
    stress = {"stress": ([0.0, 1.0], [5.0, 6.0])}
    for event in (1, 2, 3):
        keys.append(store.begin(make_record(event=event, event_time=1.9e9 + event, start=start, **place)))
        result = make_analysis(seed=event, novelty_p=0.5, embedding=[99.0, event], only=["tau"])
        store.complete(keys[-1], result, status="partial" if event == 3 else "complete", regime=5, series=stress)
    late = {"raw_uid": "late", "scan_id": 21, "run_time": 1.9e9 + 60}
    keys.append(store.begin(make_record(start=start | {"plan": "scan"}, **place | late)))
    store.fail(keys[-1], "the disk was full", retake=True)
    store.note("a bubble", raw_uid=store.record(keys[4]).raw_uid, scan="4")
    store.note("the bubble is gone", raw_uid="count", scan="20.2", result=keys[10])
    for status, by in (("accepted", "person"), ("withdrawn", "ainerd"), ("superseded", "ainerd")):
        store.add_suggestion(SuggestionRecord(id=status, positions={"sample_x": 9.0}, reason="edge of regime 0"))
        store.set_status(status, status, "newer results", by=by)
    return client, store, keys


def make_night(server, partition):
    client = new_container(server.client(), "night")
    raw, ainerd = open_catalog(client)
    store = ResultStore(ainerd, folder=server.directory / "results")
    add_partition(store, partition)
    dusk = datetime(2026, 11, 19, 18, tzinfo=UTC).timestamp()
    keys = []
    for i in range(9):
        x, run_time = (i % 8) * 1.25, dusk - 1800 + 1200 * (i % 8)
        uid = str(uuid.UUID(int=i % 8 + 1))
        suggested = SuggestionRecord(
            id=f"suggestion-{i % 8}",
            positions={"sample_x": x, "sample_y": 2.0},
            reason="edge of regime 1" if i % 2 else "nobody was there",
            terms={"boundary": i / 10},
        )
        if i < 8:
            start = {"uid": uid, "time": run_time, "scan_id": i, "plan_name": "visit"}
            new_container(raw, uid, metadata={"start": start})
            store.add_suggestion(suggested)
        fields = {"raw_uid": uid, "raw_path": f"raw/{uid}", "scan_id": i % 8, "run_time": run_time}
        fields |= {"suggestion_id": suggested.id, "positions": {"sample_x": x, "sample_y": 2.0}}
        fields["start"] = {"sample": "PEG 3", "user": "ada" if i % 2 else "bob", "proposal": 271, "plan": "visit"}
        fields["parameters"] = PARAMETERS if i < 8 else {**PARAMETERS, "size": 128}
        keys.append(store.begin(make_record(**fields)))
        if i == 5:
            store.fail(keys[5], "zero photons in the bins: is the shutter open?")
            store.set_status(suggested.id, "failed", "zero photons", uid)
        elif i != 6:
            p, point = {3: 0.003, 7: None}.get(i, 0.1 * (i + 1)), [x + 0.05 * x**2, 0.0]
            only = None if i in (2, 8) else ["tau"]
            result = make_analysis(seed=i, novelty_p=p, embedding=point, tau_s=10.0 ** (i - 5), only=only)
            stress = (np.arange(4.0), 10.0 * i + np.array([3.0, 1.0, 2.0, 4.0]))
            changes = {"n_frames": 1600, "frame_time_s": 0.01, "regime": i % 2, "atlas_version": 1}
            store.complete(keys[i], result, series={"stress": stress}, **changes)
        if i in (0, 2):
            store.set_status(suggested.id, "measured", raw_uid=uid)
            store.log(f"run {i}", raw_uid=uid)
    store.add_suggestion(SuggestionRecord(id="turned-down", positions={"sample_x": 9.0}, reason="edge of regime 0"))
    store.set_status("turned-down", "rejected", "a bubble")
    done = [0, 1, 2, 3, 4, 7]  # with the same parameters
    store.add_atlas(AtlasRecord(n_regimes=2, supported_range=(1, 3), labels={keys[i]: i % 2 for i in done}))
    now = dict(zip(done, [0, 1, 2, 1, 1, 0], strict=True))
    store.add_atlas(
        AtlasRecord(n_regimes=3, supported_range=(1, 3), labels={keys[i]: label for i, label in now.items()})
    )
    return client, store, keys
