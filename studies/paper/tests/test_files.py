"""`python -m studies.paper`: latents and a rheometer's record in files."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score
from typer.testing import CliRunner

from studies.paper.__main__ import app
from studies.paper.azimuths import azimuths_of, coincidence, read_record
from studies.paper.comparison import agreement, evidence, groupings

DATA = os.environ.get("AINERD_REFERENCE_DATA")
EVENTS, N, N_ROI = (5, 9, 10, 18, 29), 32, 6


@pytest.fixture(scope="module")
def latents():
    """Exposures of two kinds, half and half; a third kind where the stress dips."""
    rng = np.random.default_rng(0)
    kind = np.where(np.isin(np.arange(N), EVENTS), 2, np.arange(N) // 16)
    return (6 * np.eye(8)[kind][:, None] + rng.normal(0, 0.4, (N, N_ROI, 8))).astype(np.float32)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A reading each 10 s, five or six in an exposure of 55 s, as in the published record after shear."""
    rng, file = np.random.default_rng(1), tmp_path_factory.mktemp("record") / "record.csv"
    time = np.r_[np.arange(0.0, 200), 209 + 10 * np.arange(177)]
    stress = np.where(time < 200, 2e4, 90 + 100 * np.exp(-(time - 199) / 60) + rng.normal(0, 0.05, time.size))
    for event in EVENTS:
        stress[time > 199 + 55 * (event + 0.5)] -= 1
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Time [s]", "Shear rate [1/s]", "Shear stress [Pa]"])
        writer.writerows(zip(time, np.where(time < 200, 30.0, -4e-7), stress, strict=True))
    return file


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_clusters_change_with_the_stress(latents, record, tmp_path):
    np.save(tmp_path / "latents.npy", latents.reshape(-1, 8))
    np.save(tmp_path / "maps.npy", np.ones((N, N_ROI, 8, 8)) + np.eye(8))
    options = ("--stress", record, "--maps", tmp_path / "maps.npy", "--azimuths", N_ROI, "--every", 55)
    result = run(tmp_path / "latents.npy", *options, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        *("latent.png", "number.png", "ways.png", "clusters.png", "timeline.png")
    }
    output = " ".join(result.output.split())
    assert "elbow: 3, silhouette: 3, BIC: 3" in output and "labels change with the stress" in output
    assert "highest in the exposure of the dip" in output


def test_six_groupings_agree_with_a_clear_truth(latents):
    points, truth = latents.reshape(-1, 8), np.repeat(np.where(np.isin(np.arange(N), EVENTS), 2, np.arange(N) // 16), 6)
    ways = dict(groupings(points, 3))
    assert list(ways) == ["k-means", "mixture", "spectral", "BIRCH", "HDBSCAN", "OPTICS"]
    for name, labels in ways.items():
        assigned = labels >= 0
        if name != "OPTICS":  # it breaks round groups up
            assert adjusted_rand_score(truth[assigned], labels[assigned]) > 0.95 and assigned.mean() > 0.9
        assert (np.diff(np.bincount(labels[assigned])) <= 0).all()  # the largest is 0
    assert np.allclose(np.diag(agreement(ways)), 1)
    found = evidence(points, most=6)
    assert found["silhouette"][3] == pytest.approx(silhouette_score(points, truth), abs=0.01)
    assert found["inertia"][1] == pytest.approx(np.square(points - points.mean(0)).sum(), rel=1e-4)


def test_a_dip_is_found_from_five_readings_and_their_neighbours(latents, record):
    readings, stopped = read_record(record)
    assert stopped == 199
    found = coincidence(azimuths_of(latents, readings, k=3, first=stopped, every=55.0, shear_stopped=stopped))
    assert found.dips[list(EVENTS)] == pytest.approx(1, abs=0.2)
    assert np.nanmax(np.delete(found.dips, EVENTS)) < 0.3
    assert found.peak == 0 and np.nanmax(found.correlation) > found.chance


@pytest.mark.skipif(not DATA, reason="AINERD_REFERENCE_DATA is not set")
def test_the_published_record_has_dips(latents):
    readings, stopped = read_record(Path(str(DATA)) / "published_rheology.csv")
    assert stopped == 199 and len(readings) == 560
    found = coincidence(azimuths_of(np.tile(latents, (2, 1, 1))[:50], readings, k=3, first=199, shear_stopped=199))
    assert np.isfinite(found.dips).sum() == 49  # the first begins in the first minute


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, r: (z.reshape(-1, 8)[:-1], r, ("--azimuths", 6)), "191 latents are not a whole number of exposures"),
        (lambda z, r: (np.where(z > 6, np.nan, z), r, ()), "not finite"),
        (lambda z, r: (z, r.replace("Shear stress", "torque"), ()), "one column with 'stress'"),
        (lambda z, r: (z, r.replace("20000.0", "overload", 1), ()), "'overload' in column Shear stress [Pa], row 2"),
        (lambda z, r: (z, r.replace("Shear rate", "gap"), ()), "give --first"),
        (lambda z, r: (z, r, ("--every", 600)), "32 exposures of 600 s from 199 s on do not fit"),
        (lambda z, r: (z[:8], r, ()), "8 exposures are too few"),
    ],
)
def test_bad_input_is_refused(latents, record, tmp_path, change, message):
    z, text, options = change(latents, record.read_text())
    np.save(tmp_path / "latents.npy", z)
    (tmp_path / "record.csv").write_text(text)
    result = run(tmp_path / "latents.npy", "--stress", tmp_path / "record.csv", *options, "--out", tmp_path / "out")
    assert isinstance(result.exception, ValueError) and message in str(result.exception)
