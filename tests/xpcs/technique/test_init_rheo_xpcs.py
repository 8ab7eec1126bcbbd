"""A TOML for rheo-XPCS, and the picture of the bins."""

import json
import re
import tomllib

import numpy as np
import pytest
from matplotlib.figure import Figure
from pyFAI.detectors import detector_factory
from pyFAI.geometry import Geometry
from typer.testing import CliRunner

import ainerd.cli
from ainerd.config import Settings, read_section
from ainerd_shear.part import CyclesSettings
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import PartitionSettings, RheoXPCSSettings, build_partition, draw_bins

pytestmark = pytest.mark.usefixtures("own_folder")


def test_the_template_says_what_is_missing_and_has_every_key(tmp_path):
    done = CliRunner().invoke(ainerd.cli.app, ["init", "agent.toml"], env={"COLUMNS": "200"})
    assert done.exit_code == 1 and "rheo_xpcs.partition: must have a geometry (detector or shape" in done.output
    assert "ok      settings" not in done.output
    text = (tmp_path / "agent.toml").read_text()
    lines = dict(re.findall(r"^# (\w+) = (.*?)  # (?!e\.g\.)", text.partition("[rheo_xpcs]")[2], re.MULTILINE))
    for model in (RheoXPCSSettings, PartitionSettings, CyclesSettings):
        for name, field in model.model_fields.items():
            assert name == "partition" or f"# {name} = " in text
            if name in lines:
                assert tomllib.loads(f"x = {lines[name]}")["x"] == json.loads(json.dumps(field.default))


def test_settings_of_a_shape_pass_and_become_a_picture(tmp_path):
    np.save("frame.npy", np.random.default_rng(0).poisson(3.0, (260, 240)).astype(np.uint16))
    answers = ["shape=[260, 240]", "distance_m=5", "beam_center_px=[130.0, 120.0]", "energy_keV=11"]
    answers += ["q_range_inv_nm=[0.03, 0.06]"]
    given = [x for answer in answers for x in ("--set", f"rheo_xpcs.partition.{answer}")]
    done = CliRunner().invoke(ainerd.cli.app, ["init", "agent.toml", *given], env={"COLUMNS": "200"})
    assert done.exit_code == 0, (done.output, done.exception)
    settings = read_section(RheoXPCSSettings, Settings.load("agent.toml").section, "rheo_xpcs").anchored(tmp_path)
    assert settings.partition.shape == (260, 240) and settings.contrast is None
    bins = build_partition(settings.partition)
    assert bins.n_pixels.min() >= 64 and bins.n_roi == 18
    command = ["check", "agent.toml", "--draw", "bins.png", "--frame", "frame.npy"]
    drawn = CliRunner().invoke(ainerd.cli.app, command, env={"COLUMNS": "200"})
    assert drawn.exit_code == 0 and (tmp_path / "bins.png").stat().st_size > 20_000


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


def test_init_with_a_poni_writes_settings_that_load(tmp_path):
    geometry = Geometry(8.0, 0.03, 0.04, detector=detector_factory("eiger500k"), wavelength=1.13e-10)
    geometry.save("rings.poni")
    given = [f"rheo_xpcs.partition.{x}" for x in ("poni=rings.poni", "q_range_inv_nm=[0.02, 0.03]", "n_phi=4")]
    done = CliRunner().invoke(ainerd.cli.app, ["init", "agent.toml", *(x for one in given for x in ("--set", one))])
    settings = read_section(RheoXPCSSettings, Settings.load("agent.toml").section, "rheo_xpcs").anchored(tmp_path)
    assert build_partition(settings.partition).n_roi == 4 and "partition: 4 bins" in done.output
