"""`ainerd init` and `ainerd check` with a third-party technique: templates, files, findings and pictures."""

import json
import re
import tomllib

import h5py
import numpy as np
import pytest

from ainerd.config import Settings
from tests.cli.conftest import MARBLE, run

PEBBLE = (
    MARBLE.replace("marble", "pebble").replace("Marble", "Pebble")
    + '''
    @classmethod
    def template(cls):
        return """
[pebble]
width = 3  # in mm
# nameLong = "of \\\\"note\\\\""  # e.g.: anything

# [pebble.size]  # of a wide one
# inner = 2.5  # e.g.: in mm

[recorded.readings]
# weight = "scale_weight"  # e.g.

[recorded.units]
# weight = "g"  # e.g.
"""

    def sketch(self, figure, frame=None):
        if frame is not None:
            __import__("numpy").save("mean.npy", frame)
            if frame.shape[1] != self.settings.width:
                raise ValueError("the frame is not as wide")
        figure.subplots().plot([0, self.settings.width])
'''
)


@pytest.fixture
def pebble(site, tmp_path, own_folder):
    site.install("pebble", {"a_pebble": PEBBLE}, techniques="a_pebble:Pebble")
    return tmp_path


def init(*arguments):
    return run("init", "here/agent.toml", "--technique", "pebble", *arguments)


def test_the_template_alone_loads_and_passes(pebble):
    done = init()
    assert done.exit_code == 0, done.output
    settings = Settings.load("here/agent.toml")
    assert (settings.technique, settings.section) == ("pebble", {"width": 3})
    text = (pebble / "here" / "agent.toml").read_text()
    assert 'width = 3  # in mm\n# nameLong = "of \\"note\\""  # e.g.: anything\n' in text
    assert text.index("[recorded.units]") < text.index('# weight = "g"') < text.index("[acquisition]")
    assert all("  # " in line for line in text.splitlines() if " = " in line and not line.startswith("# "))
    checked = run("check", "here/agent.toml", "--draw", "p.png")
    assert checked.exit_code == 0 and "pebbles: 3 wide" in checked.stdout and (pebble / "p.png").stat().st_size > 5000


def test_each_key_has_a_line_with_its_default_or_an_example(pebble):
    """All lines but those in place of others load together, and each default is that of the settings."""
    init()
    before, text = Settings.load("here/agent.toml"), (pebble / "here" / "agent.toml").read_text()
    lines = re.findall(r"^# ((\w+) = .*)$", text, re.MULTILINE)
    shown = text.replace("# [pebble.size]", "[pebble.size]")
    for line, name in lines:
        if name not in ("knobs", "ticks", "frame_number", "webhook"):  # in place of bounds, or of each other
            shown = shown.replace(f"# {line}", line.replace('"sample.batch"', '"sample_batch"'))
    (pebble / "here" / "all.toml").write_text(shown)
    after = Settings.load("here/all.toml")
    examples = {name for line, name in lines if "  # e.g." in line}
    for section in ("detector", "steering", "acquisition", "storage"):
        mine, model = getattr(after, section), getattr(before, section)
        for name in type(model).model_fields:
            assert name == "api_key" or re.search(rf"^(# )?{name} = ", text, re.MULTILINE), name
            assert name in examples or getattr(mine, name) == getattr(model, name), name
    assert after.recorded.readings and after.recorded.start and after.recorded.units["weight"] == "g"


def test_set_replaces_the_line_and_keeps_its_comment(pebble):
    given = {"name": "P1", "detector.image": '"eiger_image"', "detector.n_frames": "", "recorded.units.x": "mm"}
    given |= {"pebble.width": "120", "pebble.nameLong": "it's round", "pebble.size.inner": "2"}
    given |= {"steering.bounds": "{ x = [-1.0, 1.0] }", "recorded.readings": '{ weight = "scale_weight" }'}
    given["steering.dose_limit"] = "4"
    done = init(*(x for key, value in given.items() for x in ("--set", f"{key}={value}")))
    assert done.exit_code == 0, done.output
    settings, text = Settings.load("here/agent.toml"), (pebble / "here" / "agent.toml").read_text()
    assert settings.section == {"width": 120, "size": {"inner": 2}, "nameLong": "it's round"}
    assert (settings.name, settings.steering.dose_limit, settings.steering.bounds) == ("P1", 4, {"x": (-1.0, 1.0)})
    assert (settings.detector.n_frames, settings.detector.frame_time_s) == ("", "detector_cam_acquire_period")
    assert settings.recorded.readings == {"weight": "scale_weight"} and settings.recorded.units == {"x": "mm"}
    assert 'nameLong = "it\'s round"  # anything\n' in text and "dose_limit = 4  # exposures" in text
    init()
    assert len(text.splitlines()) == len((pebble / "here" / "agent.toml").read_text().splitlines())


def test_nothing_is_overwritten_and_nothing_half_written(pebble):
    assert init().exit_code == 0
    again = init()
    assert isinstance(again.exception, ValueError) and "exists: give another name, or --force" in str(again.exception)
    assert init("--force", "--set", "pebble.width=9").exit_code == 0
    for bad, message in (
        ("no equals", "needs KEY=VALUE"),
        ("steering.bounds.samx=[0, 1]", "give all of it: --set steering.bounds="),
        ("steering.bounds={x = [.1, 1]}", "--set steering.bounds: {x = [.1, 1]} is not valid TOML"),
    ):
        refused = run("init", "new.toml", "--technique", "pebble", "--set", bad)
        assert message in str(refused.exception) and not (pebble / "new.toml").exists()
    assert "'pebbel'" in str(run("init", "new.toml", "--technique", "pebbel").exception)


def test_settings_with_a_mistake_are_kept_and_the_startup_file_follows(pebble):
    done = init("--startup", "s", "--set", "steering.bounds=samx -2 8", "--set", "name=P1")
    assert done.exit_code == 1 and "steering.bounds" in done.stdout and not (pebble / "s").exists()
    assert "no startup file is written: correct here/agent.toml" in done.stdout
    toml = pebble / "here" / "agent.toml"
    fixed = re.sub("^#? ?bounds = .*$", "bounds = { samx = [-2, 8] }", toml.read_text(), flags=re.MULTILINE)
    toml.write_text(fixed)
    for force in ((), ("--force",)):
        assert init("--startup", "s", *force).exit_code == 0 and toml.read_text() == fixed
    assert "samx" in (pebble / "s" / "90_ainerd.py").read_text()


def test_a_technique_without_template_and_sketch(marble, tmp_path):
    assert run("init", tmp_path / "m.toml", "--technique", "marble").exit_code == 0
    assert tomllib.loads((tmp_path / "m.toml").read_text())["technique"] == "marble"
    done = run("check", tmp_path / "m.toml", "--draw", tmp_path / "m.png")
    assert done.exit_code == 1 and "technique marble draws none" in done.stdout


def picture(frames, *arguments):
    """Draw the picture of a file of frames; return its mean, and the finding about the picture."""
    done = run("check", "here/agent.toml", "--draw", "p.png", "--frame", frames, "--json", *arguments)
    return np.load("mean.npy"), json.loads(done.stdout)[-1]


def test_the_mean_frame_of_a_file_is_drawn(pebble):
    init("--set", "pebble.width=6")
    frames = np.random.default_rng(0).poisson(3.0, (120, 5, 6)).astype(np.int32)
    frames[:, 2, 3] = -1
    with h5py.File("f.h5", "w") as file:
        file["entry/data/data"], file["entry/flat"], file["entry/times"] = frames, np.ones((5, 6)), np.arange(120)
    mean, finding = picture("f.h5")
    taken = frames[np.unique(np.linspace(0, 119, 50).astype(int))]
    assert finding["ok"] and np.allclose(mean, np.where(taken[0] < 0, np.nan, taken.mean(axis=0)), equal_nan=True)
    assert (picture("f.h5", "--dataset", "entry/flat")[0] == 1).all()
    frames[4:6] = np.iinfo(np.int32).max  # two spoilt frames
    np.save("spoilt.npy", frames[:10])
    good = np.delete(frames[:10], (4, 5), axis=0).mean(axis=0)
    assert np.allclose(picture("spoilt.npy")[0], np.where(good < 0, np.nan, good), equal_nan=True)
    assert "--draw" in str(run("check", "here/agent.toml", "--frame", "f.h5").exception)
    np.save("narrow.npy", np.ones((4, 5)))
    (pebble / "text.h5").write_text("text")
    for path, arguments, message in (
        ("narrow.npy", (), "the frame is not as wide"),
        ("no.h5", (), "there is no file"),
        ("f.h5", ("--dataset", "entry/time"), "f.h5: there is no entry/time"),
        ("f.h5", ("--dataset", "entry/times"), "must be of (ny, nx)"),
        ("text.h5", (), "text.h5: "),
    ):
        _, finding = picture(path, *arguments)
        assert not finding["ok"] and message in finding["state"] and finding["remedy"] == "correct it"


def test_the_frames_of_an_eiger_are_behind_the_links_of_its_master_file(pebble):
    """The only frame-like dataset of the master file itself is the pixel mask."""
    init("--set", "pebble.width=6")
    with h5py.File("s_1_data_000001.h5", "w") as file:
        file["entry/data/data"] = np.full((10, 5, 6), 3, np.uint16)
    with h5py.File("s_1_master.h5", "w") as file:
        for number in ("000001", "000002"):  # the second one is not there
            file[f"entry/data/data_{number}"] = h5py.ExternalLink(f"s_1_data_{number}.h5", "/entry/data/data")
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = np.zeros((5, 6), np.uint32)
    assert (picture("s_1_master.h5")[0] == 3).all()
