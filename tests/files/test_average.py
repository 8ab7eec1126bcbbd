"""`ainerd average`: repeats in files, with planted faults."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd_files.commands import average
from tests.files.map_files import bins_of_boost_corr, curves_of_boost_corr

LAGS = np.unique(np.rint(np.geomspace(1, 2000, 40))).astype(int)
FRAME_S, NOISE, Q = 0.01, 0.004, np.array([0.02, 0.04, 0.06])
TAU_S = 0.4 * (0.04 / Q) ** 2
MAP = np.repeat([0, 1, 2, 3], 30).reshape(12, 10)

app = typer.Typer()
app.command()(average)


def curves(seed, factor=1.0):
    """g2 of three bins, (3, n), with noise."""
    g2 = 1 + 0.2 * np.exp(-2 * FRAME_S * LAGS / (factor * TAU_S[:, None]))
    return g2 + NOISE * np.random.default_rng(seed).normal(size=g2.shape)


def write(path, g2, photons=0.5, lags=LAGS):
    """Write a file as boost_corr does."""
    with h5py.File(path, "w") as file:
        curves_of_boost_corr(file, lags, g2, np.full_like(g2, NOISE), FRAME_S)
        bins_of_boost_corr(file, np.where(MAP > len(g2), 0, MAP), Q)
        file["xpcs/temporal_mean/scattering_2d"] = photons * np.ones((1, *MAP.shape))
        file["xpcs/spatial_mean/intensity_vs_time"] = np.ones((2, 4000))


@pytest.fixture
def run(own_folder):
    def run(*arguments):
        done = CliRunner().invoke(app, [*map(str, arguments)])
        return done, " ".join(f"{done.output} {done.exception or ''}".split())

    return run


def test_files_are_averaged_and_fitted(run):
    for i in range(m := 12):
        write(f"r{i}.hdf", curves(i, factor=0.4 if i == 5 else 1.0), photons=0.5 + 0.1 * (i % 2))
    done, text = run(*(f"r{i}.hdf" for i in range(m)))
    assert done.exit_code == 0, text
    kept = [i for i in range(m) if i != 5]
    assert f"{len(kept)} of {m} repeats are averaged" in text
    assert "r5.hdf is left out: g2" in text
    with h5py.File("average.h5") as file:
        # the square of the photons is the weight
        weight = np.array([(0.5 + 0.1 * (i % 2)) ** 2 for i in kept])
        mean = np.average([curves(i) for i in kept], axis=0, weights=weight)
        np.testing.assert_allclose(file["g2"][()], mean)
        np.testing.assert_array_equal(np.flatnonzero(file["repeats/kept"]), kept)
        pull = (file["bins/tau_s"][()] - TAU_S) / file["bins/tau_s_err"][()]
        assert np.abs(pull).max() < 3
        assert file["repeats/g2"].shape == (m, 3, LAGS.size)
    with open("average.png", "rb") as image:
        assert image.read(4) == b"\x89PNG"
    refused, why = run("r0.hdf", "r1.hdf")
    assert refused.exit_code == 1 and "average.h5 exists: give another name, or --force" in why
    assert "an average needs two repeats or more, got 1" in run("r0.hdf")[1]
    assert "r0.hdf is given 2 times" in run("r0.hdf", "r1.hdf", "./r0.hdf")[1]


def test_damage_by_the_beam_is_found(run):
    names = [f"r{i}.hdf" for i in range(15)]
    for i, name in enumerate(names):
        write(name, curves(i, factor=1.02**i), photons=0.5 * 0.99**i)
    _, text = run(*names)
    assert "τ has a trend, +3" in text and "the intensity has a trend, -13" in text and "damage by the beam" in text
    for i, name in enumerate(names):
        write(name, curves(i))
    _, text = run(*names, "--force")
    assert "τ has no trend" in text and "the intensity has no trend" in text and "damage" not in text


@pytest.mark.parametrize(
    ("name", "times", "by"),
    [
        ("r_{}_of_12.hdf", False, "number in the name"),
        ("r_{}.hdf", True, "start time (s)"),
        ("r{}_{}.hdf", False, None),
    ],
)
def test_the_order_is_that_of_numbers_or_of_start_times(name, times, by, run):
    """The shell sorts r_10 before r_2; numbers say how much slower a repeat is, unless times do."""
    names = []
    for i in range(1, 13):
        names.append(Path(name.format(13 - i if times else i, -i)))
        write(names[-1], curves(i, factor=1.03**i))
        if times:
            with h5py.File(names[-1], "r+") as file:
                file["entry/start_time"] = f"2026-11-20T10:{i:02d}:00+01:00"
    done, text = run(*sorted(names))
    assert done.exit_code == 0, text
    if by is None:
        assert "no test for trends: start times or one number in the names must order the repeats" in text
        assert "trend," not in text and "no trend" not in text
    else:
        change = re.search(r"τ has a trend, \+(\S+) % from the smallest to the largest " + re.escape(by), text)
        assert float(change[1]) == pytest.approx(100 * (1.03**11 - 1), abs=4)


def test_a_file_that_is_no_repeat_is_refused(run):
    write("r0.hdf", curves(0))
    write("r1.hdf", curves(1), lags=2 * LAGS)
    write("r2.hdf", curves(1)[:2])
    for name, why in (
        ("r1.hdf", "r1.hdf has 36 lags from 0.02 to 40 s, r0.hdf has 36 lags"),
        ("r2.hdf", "r0.hdf has bin 3, r2.hdf has none of this number"),
        ("r3.hdf", "no file r3.hdf"),
    ):
        done, text = run("r0.hdf", name)
        assert done.exit_code == 1 and why in text and isinstance(done.exception, ValueError)
