"""Records, their metadata, and the keys of results."""

import json
import math

import numpy as np
import orjson
import pytest

from ainerd.results import ResultRecord, digest


def test_positions_and_numbers_are_flat_and_round_trip(record):
    made = record(
        positions={"sample_x": np.float32(1.5), "sample_y": np.int64(2)},
        summary={"beta": 0.25, "shape": "exponential", "steady": True},
        embedding=np.arange(3, dtype=np.float32),
    )
    metadata = json.loads(json.dumps(made.metadata(), allow_nan=False))
    assert metadata["sample_x"] == 1.5 and metadata["sample_y"] == 2 and metadata["beta"] == 0.25
    assert metadata["embedding"] == [0, 1, 2]
    assert ResultRecord.from_metadata(metadata) == made
    assert made.key == ResultRecord.key_of(made.parameters, made.raw_uid)


def test_metadata_have_no_nan_and_no_none(record):
    made = record(
        novelty_p=float("nan"),
        positions={"sample_x": np.nan, "sample_y": 1.0},
        summary={"tau_s": math.inf, "beta": None, "gamma": np.float32("nan")},
        calibration={"alpha": 0.05, "offset": float("nan")},
    )
    metadata = made.metadata()
    assert not {"novelty_p", "sample_x", "tau_s", "beta", "gamma", "reason"} & set(metadata)
    assert metadata["calibration"] == {"alpha": 0.05, "offset": None}
    assert ResultRecord.from_metadata(metadata).positions == {"sample_y": 1.0}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"novelty_p": 1.2}, "less than or equal to 1"),
        ({"colour": "red"}, "colour"),
        ({"summary": {"regime": 3}}, "summary: 'regime' is taken"),
        ({"summary": {"sample_x": 3}}, "summary: 'sample_x' is taken"),
        ({"positions": {"stage.x": 3.0}}, "has a dot"),
        ({"embedding": [1.0, float("nan")]}, "embedding"),
    ],
)
def test_bad_fields_are_named(record, changes, message):
    with pytest.raises(ValueError, match=message):
        record(**changes)


@pytest.mark.fault(
    "Metadata of a run hold a number of more than 64 bits, or half a surrogate pair", "They are stored as text"
)
def test_values_that_no_catalog_stores_become_text():
    start = {"proposal": 10**30, "user": "a\ud800b\0", "plan": 10**500, "low": -(2**63), "high": 2**63}
    record = ResultRecord(raw_uid="a", technique="t", agent="me", parameters={}, start=start, reason="no file \udcff")
    assert record.start == {
        "proposal": "1" + 30 * "0", "user": r"a\ud800b\x00", "plan": "an integer of 1661 bits",
        "low": -(2**63), "high": str(2**63),
    }  # fmt: skip
    assert record.reason == r"no file \udcff"
    orjson.dumps(record.metadata())
    assert ResultRecord.key_of({}, series_id="ramp=\ud800") == ResultRecord.key_of({}, series_id=r"ramp=\ud800")


def test_parameters_that_are_not_json_are_refused():
    with pytest.raises(ValueError, match="parameters must be plain JSON"):
        digest({"bad": float("nan")})
