import subprocess
import sys

import msgpack
import msgpack_numpy
import numpy as np
import pytest

from ainerd_streams import WireError, unpack


def pack(value):
    return msgpack.packb(value, default=msgpack_numpy.encode)


def test_values_and_arrays_survive():
    sent = {"a": [1, 2.5, "x", None], "n": np.float32(2.5), "m": np.arange(6, dtype="<u2").reshape(2, 3), 3: b"raw"}
    got = unpack(pack(sent))
    np.testing.assert_array_equal(got["m"], sent["m"])
    assert got["m"].dtype == sent["m"].dtype and got["n"] == 2.5 and got["a"] == sent["a"] and got[3] == b"raw"


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("executed",))


@pytest.mark.fault("A message contains a pickle", "It is refused before anything is executed")
def test_an_array_of_objects_is_refused_before_anything_is_executed():
    with pytest.raises(WireError, match="array of objects"):
        unpack(pack({"x": np.array([Trap()], dtype=object)}))


@pytest.mark.parametrize("first", ["ainerd_streams", "bluesky_kafka"])
def test_nothing_is_executed_if_bluesky_kafka_patches_msgpack_so_that_it_reads_pickle(first):
    code = f"""if True:
        import {first}
        import bluesky_kafka, msgpack, msgpack_numpy, numpy as np
        from ainerd_streams import WireError, unpack
        class Trap:
            def __reduce__(self):
                return print, ("executed",)
        for value in (Trap(), 3.0):
            try:
                print(unpack(msgpack.packb(np.array([value], dtype=object), default=msgpack_numpy.encode)))
            except WireError as error:
                print(error)
        """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    why = {"ainerd_streams": "array of objects", "bluesky_kafka": "import ainerd_streams before bluesky_kafka"}[first]
    assert done.returncode == 0 and "executed" not in done.stdout and done.stdout.count(why) == 2, done


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", b"GET / HTTP/1.1", np.random.default_rng(0).bytes(10_000_000), pack({b"nd": True, b"type": "<f8"})],
    ids=["nothing", "reserved", "http", "10 MB", "half an array"],
)
@pytest.mark.fault("Bytes arrive that are not a message", "They are left out and logged")
def test_garbage_gives_a_wire_error(payload):
    with pytest.raises(WireError):
        unpack(payload)
