"""Names and keys that stored data depend on. A change here makes results in Tiled unfindable: make it on purpose."""

import typing
import uuid

import numpy as np
import pytest

from ainerd.config import Detector
from ainerd.results import (
    AgentNode,
    AtlasRecord,
    ConfigurationRecord,
    ResultRecord,
    ResultStore,
    SuggestionRecord,
    digest,
)
from ainerd.results.commands import Take
from ainerd.runs import parameters_of
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import RheoXPCS
from ainerd_xtec import XTEC

RUN = "0d1c3d7e-8f2f-4f0e-9d0f-0123456789ab"


def rheo_xpcs():
    """The technique with its defaults, on two bins that no floating-point geometry has a part in."""
    roi_map = np.repeat(np.int32([[0, 1, 2, 0]]), 8, axis=0)
    return RheoXPCS(Partition(roi_map=roi_map, static_map=roi_map, q=np.array([0.02, 0.03]), phi=np.array([0.0, 90.0])))


def test_digest_and_keys_of_rheo_xpcs():
    parameters = rheo_xpcs().parameters
    assert digest(parameters) == "48e8ff37312b40bc"
    assert ResultRecord.key_of(parameters, RUN, 2) == "1ce6566c-3698-52de-af5d-d4423eb31789"


def test_digest_and_keys_of_xtec(tmp_path):
    section = {"clusters": 3, "smooth": [7, 9.5]}
    parameters = XTEC.from_settings(section, tmp_path).parameters
    assert digest(XTEC.from_settings({}, tmp_path).parameters) == "0f2b37fc5ca6e769"
    assert digest(parameters) == "dd03882a606d50c2"
    assert ResultRecord.key_of(parameters, series_id="ramp=cooling 1") == "9a6c6141-4057-539c-9a4e-26938b647a33"


@pytest.mark.parametrize(
    ("setting", "pinned"),
    [
        ({}, {}),
        ({"flags": {"bad_frames": 0.0}}, {"detector.flags": {"bad_frames": 0.0}}),
        ({"frame_number": "/number"}, {"detector.frame_number": "/number"}),
        ({"ticks": "/time"}, {"detector.ticks": "/time"}),
        ({"pixel_order": "rows"}, {"detector.pixel_order": "rows"}),
    ],
)
def test_parameters_of_each_setting_of_the_detector_that_changes_numbers(setting, pinned):
    technique = rheo_xpcs()
    parameters = parameters_of(technique, Detector(image="lambda", n_frames="n", **setting))
    assert parameters == {**technique.parameters, **pinned}
    assert parameters_of(technique, Detector(image="eiger", **setting)) == parameters


def test_specs_of_stored_nodes(server):
    raw, ainerd = open_catalog(server.client().create_container(f"pins-{uuid.uuid4()}"))
    store = ResultStore(ainerd, agent="a")
    arrays = {"c2": np.ones((1, 4, 4), np.float32)}
    analysis = Analysis(embedding=np.zeros(2, np.float32), novelty_p=None, arrays=arrays)
    record = ResultRecord(raw_uid=RUN, technique="rheo_xpcs", agent="a", parameters={"size": 4})
    store.complete(store.begin(record), analysis)
    store.add_suggestion(SuggestionRecord(agent="a", positions={"x": 1.0}, reason="unexplored"))
    of_agent = {"agent": "a", "digest": record.digest}
    store.add_atlas(AtlasRecord(labels={record.key: 0}, n_regimes=1, supported_range=(1, 1), **of_agent))
    store.log("a line")
    store.add_configuration(ConfigurationRecord(technique="rheo_xpcs", parameters={"size": 4}), {}, {})
    agent = AgentNode(ainerd, "a")
    agent.save_checkpoint({"bounds": {}})
    agent.append(1, {"kind": "began"})
    agent.open()
    agent.send(Take(suggestion="s"))

    def specs(node):
        return [f"{spec.name} {spec.version}" for spec in node.specs]

    assert specs(raw) == ["CatalogOfBlueskyRuns 3.0"]
    assert specs(ainerd) == ["AinerdCampaign 1.0"]
    assert {name: (specs(folder), specs(folder.values().first())) for name, folder in ainerd.items()} == {
        "agents": ([], ["AinerdAgent 1.0"]),
        "atlas": ([], ["AinerdAtlas 1.0"]),
        "checkpoints": ([], ["AinerdCheckpoint 1.0"]),
        "configurations": ([], ["AinerdConfiguration 1.0"]),
        "changes": ([], []),
        "log": (["AinerdLogbook 1.0"], ["AinerdLog 1.0"]),
        "results": (["AinerdResults 1.0"], ["AinerdResult 1.0"]),
        "suggestions": (["AinerdSuggestions 1.0"], ["AinerdSuggestion 1.0"]),
    }
    (change,) = ainerd["changes"].values().first().values()
    assert (change.item["id"], specs(change)) == ("00000001", ["AinerdChange 1.0"])
    (command,) = ainerd["agents"].values().first()["commands"].values()
    assert specs(command) == ["AinerdCommand 1.0"] and command.path_parts[-1] == "verdict-s"


def test_stored_statuses():
    def statuses(record):
        return typing.get_args(record.model_fields["status"].annotation)

    assert statuses(ResultRecord) == ("computing", "complete", "partial", "growing", "failed")
    assert statuses(SuggestionRecord) == (
        "proposed", "accepted", "taken", "measured", "failed", "rejected", "withdrawn", "superseded",
    )  # fmt: skip
