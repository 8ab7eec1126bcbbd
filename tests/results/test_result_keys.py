import hashlib
import uuid

import pytest

from ainerd.results import digest, result_key

RUN = "0d1c3d7e-8f2f-4f0e-9d0f-0123456789ab"


def test_digest_is_sha256_of_the_sorted_json():
    text = '{"a":[1,2.5],"b":{"x":null,"y":"é"}}'.replace("é", "\\u00e9")
    parameters = {"b": {"y": "é", "x": None}, "a": (1, 2.5)}
    assert digest(parameters) == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_key_is_a_uuid5_that_depends_on_run_and_parameters_only():
    key = result_key(RUN, {"size": 256, "sigma": 2.0})
    assert uuid.UUID(key).version == 5
    assert key == result_key(RUN, {"sigma": 2.0, "size": 256})
    assert key != result_key(RUN, {"sigma": 2.1, "size": 256})
    assert key != result_key(RUN.replace("ab", "ac"), {"size": 256, "sigma": 2.0})


@pytest.mark.parametrize("bad", [float("nan"), object(), {1, 2}])
def test_what_is_not_json_is_refused(bad):
    with pytest.raises(ValueError, match="parameters must be plain JSON"):
        digest({"bad": bad})
