"""`python -m studies.paper published`, with latents whose clusters are known."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from studies import _tools
from studies.paper import __main__ as paper
from studies.paper import published

N, AZIMUTHS, CLUSTERS = 40, 6, 5


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Five clusters in turn, azimuth after azimuth; the stress falls by 1 Pa in each exposure before a change."""
    monkeypatch.setattr(_tools, "FOLDER", tmp_path)
    monkeypatch.setattr(paper, "OUTPUT", tmp_path)
    rng, every, shear_s = np.random.default_rng(0), 60.0, 200
    changes = np.array([5, 13, 18, 24, 33])
    truth = np.searchsorted(changes, np.arange(N), side="right") % CLUSTERS
    latents = 10 * np.eye(CLUSTERS, 16)[np.tile(truth, AZIMUTHS)] + rng.normal(size=(N * AZIMUTHS, 16))
    start = np.tile(every * np.arange(N), AZIMUTHS)
    (tmp_path / "analysis_data").mkdir()
    for name, values in (
        (published.LATENTS, latents), (published.STARTS, start), (published.SECTORS, np.repeat(np.arange(AZIMUTHS), N)),
    ):  # fmt: skip
        np.save(tmp_path / name, values)
    time = np.r_[np.arange(shear_s), np.arange(shear_s, shear_s + every * N, 10)]
    fallen = (time[:, None] - (shear_s - 1) > every * (changes - 0.5)).sum(1)
    stress = np.where(time < shear_s, 1e4, 90 - fallen + 1e-3 * rng.normal(size=time.size))
    rate = np.where(time < shear_s, 30, 1e-7)
    record = tmp_path / "record.csv"
    pd.DataFrame({"time": time, "shear_rate": rate, "shear_stress": stress}).to_csv(record, index=False)
    return tmp_path, record, truth


def test_clusters_are_counted_and_change_with_the_stress(clone, capsys):
    folder, record, truth = clone
    paper.published(folder=folder, record=record)
    table = json.loads((folder / "paper_published.json").read_text())
    assert [table["rows"][0][f"elbow up to {most}"] for most in published.RANGES] == [CLUSTERS] * 4
    assert table["rows"][0]["left at 4"] < 0.6 * table["rows"][1]["left at 4"]
    assert "labels change with the stress" in capsys.readouterr().out and table["correlation"] > table["chance"]
    assert (folder / "figures" / "published.png").stat().st_size > 20_000
    azimuths = published.read_published(folder, record)
    assert adjusted_rand_score(np.repeat(truth, AZIMUTHS), azimuths.labels.ravel()) == 1
    assert paper.coincidence(azimuths).peak == 0
