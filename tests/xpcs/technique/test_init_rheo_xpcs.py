"""A TOML for rheo-XPCS from a frame: shape, dead pixels; and the picture of the bins."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from pyFAI.detectors import detector_factory
from pyFAI.geometry import Geometry
from typer.testing import CliRunner

import ainerd.cli
from ainerd.config import Settings, read_section
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import RheoXPCSSettings, build_partition, dead_pixels, draw_bins, questions


def test_dead_pixels_of_a_frame():
    frame = np.ones((40, 30))
    frame[4], frame[:, 7], frame[10, 10], frame[12, 12] = 0, 0, 0, np.nan
    dead = dead_pixels(frame)
    assert dead[4].all() and dead[:, 7].all() and dead[12, 12] and not dead[10, 10] and dead.sum() == 40 + 30 - 1 + 1
    sparse = np.zeros((200, 300))
    sparse[3, 4] = 1
    assert not dead_pixels(sparse).any()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The settings that ``ainerd init`` writes from a frame, and the folder."""
    monkeypatch.chdir(tmp_path)

    def write(frame, *arguments):
        np.save("frame.npy", frame)
        command = ["init", "agent.toml", "--frame", "frame.npy", "--yes", "--force", *arguments]
        done = CliRunner().invoke(ainerd.cli.app, command, env={"COLUMNS": "200"})
        assert done.exit_code == 0, (done.output, done.exception)
        settings = Settings.load("agent.toml")
        return read_section(RheoXPCSSettings, settings.section, "rheo_xpcs").anchored(tmp_path)

    return write


@pytest.mark.parametrize("beam", [[130.0, 120.0], [-12.0, -9.0]], ids=["beam on it", "beam beside its corner"])
def test_a_frame_becomes_settings_that_pass_and_a_picture(written, beam, tmp_path):
    frame = np.random.default_rng(0).poisson(3.0, (260, 240)).astype(np.uint16)
    frame[190:196], frame[7, 20] = 0, 65535
    given = ("partition.distance_m=5", f"partition.beam_center_px={beam}", "alpha=0.01")
    settings = written(frame, *(x for each in given for x in ("--set", f"rheo_xpcs.{each}")))
    about = settings.partition
    assert about.shape == (260, 240) and about.distance_m == 5 and settings.alpha == 0.01 and settings.contrast is None
    mask = np.load(tmp_path / "mask.npy")
    assert mask[190:196].all() and mask[7, 20] and mask.sum() == 6 * 240 + 1
    bins = build_partition(about)
    assert bins.n_pixels.min() >= 64 and bins.n_roi == (18 if beam[0] > 0 else 5) and not bins.roi_map[mask].any()
    drawn = CliRunner().invoke(
        ainerd.cli.app, ["check", "agent.toml", "--draw", "bins.png", "--frame", "frame.npy"], env={"COLUMNS": "200"}
    )
    assert drawn.exit_code == 0
    assert (tmp_path / "bins.png").stat().st_size > 20_000


def test_a_known_detector_is_known_by_its_shape_and_a_file_is_asked_nothing_more():
    asked = questions(np.ones((514, 1030)) + np.arange(1030) % 7)
    assert asked.send(None).key == "partition.file"
    assert asked.send(None).key == "partition.poni"
    assert asked.send(None).default == "eiger500k"
    assert [q.key for q in _rest(questions(None), "bins.h5")] == ["partition.file", "contrast", "alpha"]


def _rest(asked, answer):
    question = asked.send(None)
    while True:
        yield question
        try:
            question = asked.send(answer)
        except StopIteration:
            return


def test_the_picture_has_numbers_beam_and_mask():
    labels = np.zeros((60, 80), int)
    labels[5:20, 5:70], labels[30:50, 10:40] = 1, 3
    partition = Partition.from_roi_map(labels, q=[0.1, 0.2, 0.3], phi=[0, 90, 180])
    figure = Figure()
    draw_bins(figure, partition, (-5.0, 40.0), labels == 7, frame=np.ones((60, 80)))
    whole, near = figure.axes
    assert [text.get_text() for text in near.texts] == ["1", "3"]
    for k, text in enumerate(near.texts, start=1):
        x, y = text.get_position()
        assert partition.roi_map[int(y), int(x)] == k
    assert whole.lines[0].get_xydata().tolist() == [[40.0, -5.0]]
    assert "off the detector" in whole.get_title(loc="left")
    assert whole.get_aspect() == near.get_aspect() == 1.0
    with pytest.raises(ValueError, match=r"the frame has \(5, 5\) pixels"):
        draw_bins(Figure(), partition, frame=np.ones((5, 5)))


def test_some_of_many_bins_have_numbers():
    shape = np.arange(40)[:, None] // 4 * 10 + np.arange(50)[None, :] // 5 + 1
    partition = Partition.from_roi_map(shape, q=np.repeat(np.arange(1, 11) / 10, 10), phi=np.tile(np.arange(10.0), 10))
    figure = Figure()
    draw_bins(figure, partition)
    assert len(figure.axes[1].texts) == 50 and "one in 2" in figure.axes[1].get_title(loc="left")


@pytest.mark.parametrize("way", ["poni", "file"])
def test_init_with_another_way_to_the_bins_writes_settings_that_load(way, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    geometry = Geometry(8.0, 0.03, 0.04, detector=detector_factory("eiger500k"), wavelength=1.13e-10)
    geometry.save("rings.poni")
    Partition.from_roi_map(np.repeat([2, 5], 2000).reshape(50, 80)).save(tmp_path / "bins.h5")
    answers = {"poni": ["poni=rings.poni", "q_range_inv_nm=[0.02, 0.03]", "n_phi=4"], "file": ["file=bins.h5"]}
    given = [x for answer in answers[way] for x in ("--set", f"rheo_xpcs.partition.{answer}")]
    done = CliRunner().invoke(ainerd.cli.app, ["init", "agent.toml", "--yes", *given])
    settings = read_section(RheoXPCSSettings, Settings.load("agent.toml").section, "rheo_xpcs").anchored(tmp_path)
    assert build_partition(settings.partition).numbers.tolist() == {"poni": [1, 2, 3, 4], "file": [2, 5]}[way]
    assert "partition: 4 bins" in done.output or "partition: 2 bins" in done.output
