import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd_xpcs.numerics import Partition, two_time
from tests.cli import conftest

pytestmark = pytest.mark.usefixtures("part_of_bank")
said = conftest.said


@pytest.fixture
def movie(tmp_path):
    rng = np.random.default_rng(0)
    field = rng.normal(size=(2, 40, 60))
    frames = []
    for _ in range(80):
        field = 0.95 * field + np.sqrt(1 - 0.95**2) * rng.normal(size=field.shape)
        frames.append(rng.poisson((field**2).sum(0) * 0.5))
    path = tmp_path / "movie.h5"
    with h5py.File(path, "w") as file:
        file["somewhere/frames"] = np.array(frames, np.uint16)
    labels = np.repeat(np.arange(1, 9), 300).reshape(40, 60)
    np.save(tmp_path / "roi.npy", labels)
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "80"})


def test_a_plain_file_is_analysed(movie, tmp_path):
    out = tmp_path / "out.h5"
    options = ("--dataset", "somewhere/frames", "--roi", tmp_path / "roi.npy", "--frame-time", 0.1, "--contrast", 0.3)
    done = run("analyze", movie, *options, "--out", out)
    assert done.exit_code == 0, done.output
    assert "p = " in done.output and "the relaxation time is" in done.output
    rows = [line for line in done.output.splitlines() if " yes " in line]
    assert [row.split()[0] for row in rows] == [*"12345678"] and all(row.count("±") == 3 for row in rows)
    with h5py.File(movie) as file, h5py.File(out) as results:
        frames = file["somewhere/frames"][()]
        partition = Partition.from_roi_map(np.load(tmp_path / "roi.npy"))
        assert np.allclose(results["c2"], two_time(frames, partition, size=256), atol=1e-5)
        assert results["tau"][0] == pytest.approx(0.1)
        assert 0 <= results.attrs["novelty_p"] <= 1
        assert results["bins/speckle"].asstr()[:].tolist() == ["yes"] * 8
        assert abs(results.attrs["tau_s"] + 0.1 / np.log(0.95)) < 3 * results.attrs["tau_s_err"] < 1
    assert out.with_suffix(".png").stat().st_size > 20_000


def test_a_run_without_a_claim_has_the_other_sentences(movie, tmp_path):
    with h5py.File(movie, "r+") as file:
        file["flat"] = np.random.default_rng(0).poisson(0.5, (80, 40, 60)).astype(np.uint16)
    roi = ("--roi", tmp_path / "roi.npy", "--frame-time", 1)
    done = run("analyze", movie, "--dataset", "flat", *roi, "--out", tmp_path / "o.h5")
    assert done.exit_code == 0, done.output
    assert "no p-value: no speckle was found" in " ".join(done.output.split())
    with h5py.File(tmp_path / "o.h5") as results:
        assert "novelty_p" not in results.attrs and results.attrs["no_claim"].startswith("no speckle")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--roi": "movie.h5"}, "movie.h5 holds no partition"),
        ({"--dataset": "entry/data/data"}, "it holds somewhere/frames; name one with --dataset"),
        ({"--dataset": "image"}, "'image' has 2 dimensions, (3, 4); frames need 3"),
        ({"--roi": __file__}, "test_cli_analyze.py: give labels (.npy), bins in HDF5, or the settings"),
        ({"--roi": "wrong.npy"}, "the partition is for 30 × 60"),
        ({"--frame-time": None}, "movie.h5: give the time from frame to frame with --frame-time, in seconds"),
        ({"--frame-time": "0"}, "--frame-time must be positive"),
        ({"--out": "there.h5"}, "there.h5 exists: give another name, or --force"),
        ({"--out": "x.csv"}, "--out x.csv: results are HDF5"),
        ({"--q": "0.1,0.2"}, "roi.npy: q must hold one value for each of the 8 bins"),
        ({"file": "nowhere.h5"}, "no file nowhere.h5"),
        ({"file": __file__}, "is not an HDF5 file"),
    ],
)
def test_bad_input_is_one_line(movie, said, tmp_path, change, message):
    (tmp_path / "there.h5").touch()
    np.save(tmp_path / "wrong.npy", np.ones((30, 60), int))
    with h5py.File(movie, "r+") as file:
        if "image" in change.values():
            file["image"] = np.ones((3, 4))
    options = {"--dataset": "somewhere/frames", "--roi": "roi.npy", "--frame-time": "0.1"} | change
    file = options.pop("file", "movie.h5")
    given = (part for name, value in options.items() if value is not None for part in (name, value))
    printed = said("analyze", file, *given)
    assert printed.startswith("ainerd: ") and message in printed and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("absent", "command", "extra"), [("scipy", "'train', 'pca'", "agent"), ("ophyd", "'demo', '--output', 'o'", "demo")]
)
def test_without_the_packages_of_a_command_a_remedy_is_printed(absent, command, extra, tmp_path):
    script = f"import sys; sys.modules[{absent!r}] = None; sys.argv = ['ainerd', {command}]\n"
    script += "from ainerd.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2 and f"pip install 'ainerd[{extra}]'" in done.stderr and "Traceback" not in done.stderr
