import uuid

import numpy as np
import pytest

from ainerd.results import ResultRecord, ResultStore
from ainerd.server import embedded_server, open_catalog
from ainerd.technique import Analysis


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with embedded_server(tmp_path_factory.mktemp("tiled")) as server:
        yield server


@pytest.fixture
def ainerd(server):
    """The trees of a catalog of its own for each test, on the one server."""
    _, ainerd = open_catalog(server.client().create_container(f"test-{uuid.uuid4()}"))
    return ainerd


@pytest.fixture
def store(ainerd):
    return ResultStore(ainerd)


@pytest.fixture
def record():
    def make(**changes):
        fields = {
            "raw_uid": str(uuid.uuid4()),
            "technique": "rheo_xpcs",
            "agent": "ainerd",
            "parameters": {"size": 256, "reduction": "area"},
            "positions": {"sample_x": 1.0, "sample_y": 2.0},
            "units": {"sample_x": "mm", "stress": "Pa"},
        }
        return ResultRecord(**fields | changes)

    return make


@pytest.fixture
def analysis():
    def make(*, seed=0, novelty_p=0.4, alpha=0.05, embedding=None, n_t=16):
        rng = np.random.default_rng(seed)
        return Analysis(
            embedding=rng.normal(size=16).astype(np.float32) if embedding is None else np.float32(embedding),
            novelty_p=novelty_p,
            arrays={
                "c2": 1 + rng.random((18, n_t, n_t), dtype=np.float32),
                "latent": rng.random((18, 16), dtype=np.float32),
                "g2": rng.random((18, 40)),
                "tau": np.geomspace(0.01, 40, 40),
            },
            dims={"c2": ("azimuth", "t1", "t2"), "latent": ("azimuth", "component")},
            summary={"beta": np.float32(0.25), "tau_s": float("nan")},
            units={"tau_s": "s"},
            model={"name": "encoder", "sha256": "0" * 64},
            calibration={"id": "bank", "n": 500, "alpha": alpha},
        )

    return make
