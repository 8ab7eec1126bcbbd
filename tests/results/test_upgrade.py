"""Catalogues of older versions are opened, continued, and shown with the version that made them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from older_catalogue import C2, JUDGED, result

from ainerd import __version__
from ainerd.results import ResultStore, read_checkpoint
from ainerd.server import embedded_server, open_catalog
from ainerd.technique import Analysis

CATALOGUES = sorted((Path(__file__).parent / "catalogues").glob("*.zip"))


@pytest.mark.parametrize("packed", CATALOGUES, ids=lambda path: path.stem)
def test_a_catalogue_of_an_older_version_is_continued(packed, tmp_path):
    shutil.unpack_archive(packed, tmp_path / "tiled")
    with embedded_server(tmp_path / "tiled") as server:
        _, ainerd = open_catalog(server.client())
        store = ResultStore(ainerd, agent="a")
        table = store.table()
        assert table["status"].tolist() == ["complete", "complete", "failed"]
        assert table["novelty_p"].tolist()[:2] == [0.4, 0.01] and table["regime"].tolist()[:2] == [0, 1]
        first = store.record(table.index[0])
        np.testing.assert_array_equal(ainerd["results", table.index[0], "c2"].read(), C2 * np.float32(0.4))
        assert first.software["name"] == "ainerd" and first.software["version"]
        assert read_checkpoint(ainerd, "a") == {"bounds": {"sample_x": [0.0, 10.0]}}
        made = Analysis(embedding=np.zeros(2, np.float32), novelty_p=0.7, calibration=JUDGED, arrays={"c2": C2})
        store.complete(store.begin(result(4)), made)
        after = store.table()
        assert len(after) == 4 and store.record(after.index[-1]).software["version"] == __version__
        assert store.record(after.index[0]).software == first.software
