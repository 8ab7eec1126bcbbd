"""`ainerd average` and `ResultStore.average`: repeats in files and on a server, with planted faults."""

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from ainerd.results import ResultRecord, ResultStore
from ainerd.server import open_catalog
from ainerd.technique import Analysis
from ainerd_xpcs.technique._average import Average
from ainerd_xpcs.technique._curves_of_bins import Curves
from ainerd_xpcs.technique.commands import average, over_q
from ainerd_xpcs.technique.panels import OVER_Q

LAGS = np.unique(np.rint(np.geomspace(1, 2000, 40))).astype(int)
FRAME_S, NOISE, Q = 0.01, 0.004, np.array([0.02, 0.04, 0.06])
TAU_S = 0.4 * (0.04 / Q) ** 2
BINS = [2, 5, 9]  # of results
MAP = np.repeat([0, 1, 2, 3], 30).reshape(12, 10)

app = typer.Typer()
for command in (average, over_q):
    app.command()(command)


def curves(seed, factor=1.0):
    """g2 of three bins, (3, n), with noise."""
    g2 = 1 + 0.2 * np.exp(-2 * FRAME_S * LAGS / (factor * TAU_S[:, None]))
    return g2 + NOISE * np.random.default_rng(seed).normal(size=g2.shape)


def write(path, g2, photons=0.5, lags=LAGS):
    """Write a file as boost_corr does."""
    with h5py.File(path, "w") as file:
        group, bins = file.create_group("xpcs/multitau"), file.create_group("xpcs/qmap")
        group["delay_list"], group["normalized_g2"] = lags[None], g2.T[: lags.size]
        group["normalized_g2_err"] = np.full((lags.size, len(g2)), NOISE)
        file["entry/instrument/detector_1/frame_time"] = FRAME_S
        file["xpcs/temporal_mean/scattering_2d"] = photons * np.ones((1, *MAP.shape))
        file["xpcs/spatial_mean/intensity_vs_time"] = np.ones((2, 4000))
        bins["dynamic_roi_map"], bins["mask"] = np.where(MAP > len(g2), 0, MAP).astype("u4"), np.ones(MAP.shape, "u1")
        bins["map_names"] = [b"q", b"phi"]
        bins["dynamic_v_list_dim0"], bins["dynamic_v_list_dim1"] = Q / 10, [0.0]
        bins["dynamic_index_mapping"] = [0, 1, 2]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        command = [] if arguments[0] == "over-q" else ["average"]
        done = CliRunner().invoke(app, [*command, *map(str, arguments)])
        return done, " ".join(f"{done.output} {done.exception or ''}".split())

    return run


@pytest.mark.parametrize("m", [2, 12])
def test_files_are_averaged_and_fitted(m, run):
    for i in range(m):
        write(f"r{i}.hdf", curves(i, factor=0.4 if i == 5 else 1.0), photons=0.5 + 0.1 * (i % 2))
    done, text = run(*(f"r{i}.hdf" for i in range(m)))
    assert done.exit_code == 0, text
    kept = [i for i in range(m) if i != 5]
    assert f"{len(kept)} of {m} repeats are averaged" in text
    assert ("r5.hdf is left out: g2" in text) == (m > 5)
    with h5py.File("average.h5") as file:
        # the square of the photons is the weight
        weight = np.array([(0.5 + 0.1 * (i % 2)) ** 2 for i in kept])
        mean = np.average([curves(i) for i in kept], axis=0, weights=weight)
        np.testing.assert_allclose(file["g2"][()], mean)
        np.testing.assert_array_equal(np.flatnonzero(file["repeats/kept"]), kept)
        pull = (file["fit/tau_s"][()] - TAU_S) / file["fit/tau_s_err"][()]
        assert np.abs(pull).max() < 3
        assert file["repeats/g2"].shape == (m, 3, LAGS.size)
    with open("average.png", "rb") as image:
        assert image.read(4) == b"\x89PNG"
    refused, why = run("r0.hdf", "r1.hdf")
    assert refused.exit_code == 1 and "average.h5 exists: give another name, or --force" in why


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
    ("change", "why"),
    [
        (lambda: write("r1.hdf", curves(1), lags=LAGS[:-3]), "r1.hdf has 33 lags from 0.01 to 11.15 s, r0.hdf has 36"),
        (lambda: write("r1.hdf", curves(1), lags=2 * LAGS), "r1.hdf has 36 lags from 0.02 to 40 s, r0.hdf has 36 lags"),
        (lambda: write("r1.hdf", curves(1)[:2]), "r0.hdf has bin 3, r1.hdf has none of this number: only equal bins"),
        (lambda: None, "no file r1.hdf: give files alone, or results alone"),
    ],
)
def test_a_file_that_is_no_repeat_is_refused(change, why, run):
    write("r0.hdf", curves(0))
    change()
    done, text = run("r0.hdf", "r1.hdf")
    assert done.exit_code == 1 and why in text and isinstance(done.exception, ValueError)


def test_one_is_no_average(run):
    write("r0.hdf", curves(0))
    assert "an average needs two repeats or more, got 1" in run("r0.hdf")[1]


@pytest.fixture(scope="module")
def store(place):
    """Eight repeats of which one is wrong, with a rising dose and fewer photons, one without g2, one of other bins."""
    store = ResultStore(open_catalog(place.client())[1])
    for i in range(10):
        record = ResultRecord(
            raw_uid=f"{i:032x}", scan_id=i + 1, run_time=1e9 + i, technique="rheo_xpcs", agent="a", parameters={},
            positions={"dose": 10.0 * i}, n_frames=4000, frame_time_s=FRAME_S,
        )  # fmt: skip
        store.begin(record)
        if i == 8:
            store.fail(record.key, "too dark")
            continue
        arrays = {
            "g2": curves(i, factor=2.0 if i == 3 else 1.0), "g2_err": np.full((3, LAGS.size), NOISE),
            "tau": FRAME_S * LAGS, "intensity": np.full((3, 5), 0.9**i, np.float32),
        }  # fmt: skip
        arrays["intensity"][:, 2] = np.nan  # frames were lost
        dims = {"g2": ("roi", "tau"), "g2_err": ("roi", "tau"), "tau": ("tau",), "intensity": ("roi", "intensity_time")}
        bins = {
            "bin": np.array(BINS if i < 9 else [2, 3, 5]),
            "q": Q,
            "phi": np.full(3, np.nan),
            "n_pixels": np.full(3, 300),
        }
        bins |= {name: np.full(3, np.nan) for name in OVER_Q}
        bins["tau_s"], bins["tau_s_err"] = np.append(np.nan, (1 + i) * TAU_S[1:]), np.full(3, 0.01)
        bins["tau_s_above"] = np.array([5.0 + i, np.nan, np.nan])
        analysis = Analysis(
            embedding=np.zeros(4, np.float32), novelty_p=None, arrays=arrays, dims=dims, tables={"bins": bins}
        )
        store.complete(record.key, analysis)
    return store


def test_results_on_a_server_are_averaged(store):
    mean = store.average(range(1, 9), dose="dose")
    assert mean.repeats.kept.tolist() == [True, True, True, False, True, True, True, True]
    assert mean.names[3] == "scan 4" and "scan 4 is left out: g2" in " ".join(mean.sentences())
    weight = 0.81 ** np.array([0, 1, 2, 4, 5, 6, 7])
    expected = np.average([curves(i) for i in (0, 1, 2, 4, 5, 6, 7)], axis=0, weights=weight)
    np.testing.assert_allclose(mean.fitted.curves.g2, expected, rtol=1e-6)
    assert np.abs((mean.fitted.fit.tau - TAU_S) / mean.fitted.fit.tau_err).max() < 3
    # seven steps of 10 %; the lags have 36 of them, and tau does not change
    text = " ".join(mean.sentences())
    assert "the intensity has a trend, -52.2 % from the smallest to the largest dose" in text and "damage" in text
    assert mean.dose.tolist() == [10.0 * i for i in range(8)]
    titles = [axes.get_title() for axes in mean.plot().axes]
    assert all(any(title.startswith(f"bin {k}, q = ") for title in titles) for k in BINS)
    numbered = next(axes for axes in store.average([1, 2, 3]).plot().axes if axes.get_ylabel() == "τ / τ of the mean")
    assert not (numbered.get_xticks() % 1).any()


def result(seed, incident):
    """Return a result with half a photon per pixel and frame, whose intensities are divided by the monitor."""
    arrays = {"g2": curves(seed), "g2_err": np.full((3, LAGS.size), NOISE), "tau": FRAME_S * LAGS}
    arrays["intensity"] = np.full((3, 5), 0.5 * 1.1**seed / incident)
    bins = pd.DataFrame({"bin": [1, 2, 3], "q": Q, "phi": np.full(3, np.nan), "n_pixels": np.full(3, 300)})
    items = {name: SimpleNamespace(read=lambda x=x: x) for name, x in {**arrays, "bins": bins}.items()}
    known = {"arrays": [*arrays], "tables": ["bins"], "frame_time_s": FRAME_S, "n_frames": 4000}
    of_beam = {} if incident == 1 else {"incident": incident, "incident_of": "i0"}
    return type("Result", (dict,), {"key": "x", "metadata": known | of_beam})(items)


def test_intensities_that_are_divided_by_the_monitor_are_no_photons():
    """With them as photons, the errors of counting leave no lag."""
    plain, divided = (
        Average.of([Curves.of(result(i, incident * 1.1**i)) for i in range(6)], [*"abcdef"]) for incident in (1.0, 1e5)
    )
    for name in ("tau", "tau_err"):
        np.testing.assert_allclose(getattr(divided.fitted.fit, name), getattr(plain.fitted.fit, name), rtol=1e-6)
    np.testing.assert_allclose(divided.fitted.curves.g2, plain.fitted.curves.g2, rtol=1e-9)
    np.testing.assert_allclose(divided.counts, 0.5 / 1e5)  # the beam became stronger, the sample did not


def test_results_that_cannot_be_averaged_are_refused(store):
    with pytest.raises(ValueError, match=r"result \S+ has no g2: too dark"):
        store.average([1, 9])
    for given, has in (([1, 10], "scan 10 has bin 3, scan 1"), ([10, 1], "scan 10 has bin 3, scan 1")):
        with pytest.raises(ValueError, match=f"{has} has none of this number: only equal bins are averaged"):
            store.average(given)
    with pytest.raises(ValueError, match="a result is given twice"):
        store.average([1, 2, 1])
    with pytest.raises(ValueError, match="there is no column 'a'"):
        store.average([1, 2], dose="a")
    for given, why in (([1, 77], "77"), ([1, "0" * 36], "no result '0")):
        with pytest.raises(KeyError, match=why):
            store.average(given)


def test_results_are_averaged_by_command(store, place, run, monkeypatch):
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", place.api_key)
    done, text = run(*range(1, 9), "--dose", "dose", "--tiled", place.uri)
    assert done.exit_code == 0 and "7 of 8 repeats are averaged" in text, text
    assert "--out a.png: give a name that ends in .h5" in run(1, 2, "--out", "a.png", "--tiled", place.uri)[1]
    rows = [line.split() for line in done.output.splitlines() if line.startswith("│")]
    assert [row[1] for row in rows if row[1].isdigit()] == [str(k) for k in BINS]
    with h5py.File("average.h5") as file:
        assert file["bin"][()].tolist() == BINS
        assert file["repeats/dose"].attrs["name"] == "dose" and file["repeats/name"].asstr()[3] == "scan 4"


def test_many_results_are_drawn_over_q(store):
    figure = store.plot(range(1, 9), by="dose")
    times, shapes, bar = figure.axes
    lines = [line.get_xydata() for line in times.lines]
    for i in range(8):
        known = np.column_stack([Q, np.append(np.nan, (1 + i) * TAU_S[1:])])
        assert any(np.array_equal(xy, known, equal_nan=True) for xy in lines)
        assert any(line.get_marker() == "^" and line.get_ydata()[0] == 5.0 + i for line in times.lines)
    guides = {line.get_label(): line.get_xydata() for line in times.lines if str(line.get_label()).startswith("$q^")}
    for name, slope in (("$q^{-2}$", -2), ("$q^{-1}$", -1)):
        (x, y), (u, v) = guides[name]
        assert np.log(v / y) / np.log(u / x) == pytest.approx(slope)
    assert times.get_xscale() == times.get_yscale() == "log" and bar.get_ylabel() == "dose"
    assert times.get_title() == "8 exposures; ▵ lower limit"  # other marks are not drawn
    with pytest.raises(ValueError, match="a result is given twice"):
        store.plot([1, 1])
    for column, message in {"nosuch": "there is no column 'nosuch'", "status": "column 'status' is not of num"}.items():
        with pytest.raises(ValueError, match=message):
            store.plot([1, 2], by=column)


def test_many_are_drawn_by_command(store, place, run, monkeypatch):
    monkeypatch.setenv("AINERD_STORAGE__API_KEY", place.api_key)
    done, text = run("over-q", *range(1, 9), "--by", "dose", "--tiled", place.uri, "--out", "results.pdf")
    assert done.exit_code == 0, text
    for i in range(3):
        write(f"r{i}.hdf", curves(i))
    done, text = run("over-q", *(f"r{i}.hdf" for i in range(3)))
    assert done.exit_code == 0 and "figure: over_q.png" in text, text
    assert Path("over_q.png").stat().st_size > 10_000 and Path("results.pdf").stat().st_size > 10_000
    assert "--by is for results" in run("over-q", "r0.hdf", "--by", "x", "--force")[1]
    assert "give a name that ends in .png" in run("over-q", "r0.hdf", "--out", "x.txt")[1]
