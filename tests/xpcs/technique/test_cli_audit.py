"""`ainerd audit`: its output and its mask, the way back through the settings, and wrong input."""

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd.cli import app, main
from ainerd_xpcs.numerics import Partition
from sim_devices import Rigaku3M, write_rigaku
from tests.xpcs.technique.map_files import MAP, boost_corr, correlations
from tests.xpcs.technique.map_files import movie as map_movie

SHAPE, DETECTOR, N = (60, 80), (512, 1024), 128
ROWS, COLUMNS, AT = slice(10, 50), slice(20, 70), (90, 280)  # of the speckle; where events have the first pixel
HOT, FLICKERING, COPY, DIM = (15, 30), (40, 53), 50, 90


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Frames with a hot and a flickering pixel, a copy and a dim frame: in HDF5, and as events with a q map."""
    where, rng = tmp_path_factory.mktemp("audit"), np.random.default_rng(0)
    field, frames = rng.normal(size=(2, 40, 50)), np.zeros((N, *SHAPE), np.uint16)
    for frame in frames:
        field = 0.9 * field + np.sqrt(1 - 0.9**2) * rng.normal(size=field.shape)
        frame[ROWS, COLUMNS] = rng.poisson((field**2).sum(0) * 0.5)
    frames[:, *HOT] += rng.poisson(10, N).astype(np.uint16)
    frames[:, *FLICKERING] += (rng.poisson(20, N) * np.repeat(rng.random(N // 4) < 0.2, 4)).astype(np.uint16)
    frames[DIM] = rng.binomial(frames[DIM], 0.4)
    frames[COPY] = frames[COPY - 1]
    with h5py.File(where / "run.h5", "w") as file:
        file["entry/data/data"] = frames
    labels = np.zeros(SHAPE, int)
    labels[ROWS, COLUMNS] = 1 + np.arange(50) // 25
    np.save(where / "bins.npy", labels)
    np.save(where / "edge.npy", np.broadcast_to(np.arange(SHAPE[1]) >= 65, SHAPE))
    for name in ("edge", "found"):
        (where / f"{name}.toml").write_text(f'[rheo_xpcs.partition]\nroi_map = "bins.npy"\nmask = "{name}.npy"\n')
    around = [(first, whole - first - n) for first, whole, n in zip(AT, DETECTOR, SHAPE, strict=True)]
    write_rigaku(where / "run.bin", np.pad(frames, [(0, 0), *around]))
    Partition.from_roi_map(np.pad(labels, around)).save(where / "qmap.hdf")
    Rigaku3M(qmap="qmap.hdf", frame_time_s=2e-5).write_metadata(where / "run_metadata.hdf")
    return where


def run(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)], env={"COLUMNS": "220"})


def test_pixels_of_the_audit_are_masked_and_then_none_is_left(folder, tmp_path):
    mask = folder / "found.npy"
    done = run(folder / "run.h5", "--roi", folder / "edge.toml", "--mask", mask)
    assert done.exit_code == 0, done.output
    lines = {line.split("│")[1].strip(): line for line in done.output.splitlines() if line.startswith("│")}
    assert "left out by ainerd already: copy" in lines[f"frame {COPY}"] and "% of the light" in lines[f"frame {DIM}"]
    assert "left out by ainerd already" in lines[f"pixel {HOT}"]
    assert "times as much as its bin" in lines[f"pixel {FLICKERING}"] and len(lines) == 4
    assert "pixels left out by ainerd already: 1; found in the others: 1" in done.output
    expected = np.load(folder / "edge.npy")  # the mask of the settings is kept
    expected[*HOT] = expected[*FLICKERING] = True
    assert np.array_equal(np.load(mask), expected)
    again = run(folder / "run.h5", "--roi", folder / "found.toml")
    assert again.exit_code == 0 and "pixels left out by ainerd already: 0; found in the others: 0" in again.output


def test_events_give_the_result_of_the_same_frames(folder):
    done = run(folder / "run.bin")
    assert done.exit_code == 0, done.output
    pixels = [(row + AT[0], column + AT[1]) for row, column in (HOT, FLICKERING)]
    for what in (f"frame {COPY}", f"frame {DIM}", *(f"pixel {pixel}" for pixel in pixels)):
        assert what in done.output


def test_rows_and_bins_of_maps_are_named(tmp_path):
    """Two-time maps without frames: in one row the sample is another one, in one bin all pixels have an offset."""
    rng, bins = np.random.default_rng(0), np.repeat(np.arange(1, 13), 200)
    field, counts = rng.normal(size=(2, bins.size)), []
    for _ in range(128):
        field = 0.9 * field + np.sqrt(1 - 0.9**2) * rng.normal(size=field.shape)
        counts.append(rng.poisson((field**2).sum(0) * 5))
    counts = np.array(counts, float)
    counts[60] = rng.poisson(10, bins.size)
    hot = np.flatnonzero(bins == 5)[:3]
    counts[:, hot] += 25
    maps = []
    for k in range(1, 13):
        of_bin = counts[:, bins == k]
        total = of_bin.sum(1)
        maps.append(of_bin @ of_bin.T * of_bin.shape[1] / total[:, None] / total)
    np.save(tmp_path / "maps.npy", maps)
    done = run(tmp_path / "maps.npy")
    assert done.exit_code == 0, done.output
    lines = [[x.strip() for x in line.split("│")[1:3]] for line in done.output.splitlines() if line.startswith("│")]
    assert lines == [["row 60", "all"], ["bin", "5"]]


def test_few_bins_are_not_compared(tmp_path):
    with h5py.File(tmp_path / "result.hdf", "w") as file:
        boost_corr(file, correlations(map_movie()))
    done = run(tmp_path / "result.hdf")
    assert done.exit_code == 0 and "fewer than 8 bins are not compared" in done.output
    assert MAP.max() < 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.h5"], "no file nothing.h5"),
        (["run.h5"], "if it holds frames, give their bins with --roi"),
        (["run.h5", "--roi", "bins.npy", "--dataset", "entry/none"], "run.h5 has no frames at 'entry/none'"),
        (["run.h5", "--roi", "bins.npy", "--mask", "away/m.npy"], "--mask away/m.npy: there is no folder away"),
        (["run.h5", "--roi", "bins.npy", "--mask", "m.h5"], "give a name that ends in .npy"),
        (["run.h5", "--mask", "m.npy"], "needs frames, with their bins (--roi)"),
        (["run.h5", "--roi", "bins.npy", "--frames", "9"], "are for events, .bin or .imm"),
        (["qmap.hdf", "--roi", "qmap.hdf"], "qmap.hdf has no frames at 'entry/data'"),
        (["notes.txt"], "notes.txt"),
        (["short.h5", "--roi", "bins.npy"], "short.h5: 9 good frames: an audit needs at least 64"),
    ],
)
def test_wrong_input_is_one_line(folder, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(folder)
    (folder / "notes.txt").write_text("no file of frames\n" * 99)
    with h5py.File("short.h5", "w") as file:
        file["entry/data/data"] = np.random.default_rng(0).poisson(2.0, (9, *SHAPE)).astype(np.uint8)
    monkeypatch.setattr("sys.argv", ["ainerd", "audit", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and message in error and error.count("\n") == 1, error
