"""`ainerd init` and `ainerd check` with a third-party technique: templates, files, findings and pictures."""

import json
import re
import tomllib

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import ainerd.cli
from ainerd.cli._mean_frame import mean_frame
from ainerd.config import Settings

PEBBLE = '''
from typing import Any
from ainerd.config import Section, read_section
from ainerd.technique import Finding, Technique

TEMPLATE = """
[pebble]
width = 3  # in mm
# note = "of \\\\"note\\\\""  # e.g.: anything

# [pebble.size]  # of a wide one
# inner = 2.5  # e.g.: in mm

[recorded.readings]
# weight = "scale_weight"  # e.g.

[recorded.units]
# weight = "g"  # e.g.
"""

class PebbleSettings(Section):
    width: float
    size: dict[str, float] = {}
    mask: str = ""
    note: str = ""

class Pebble(Technique):
    """The technique of the test package pebble."""
    name, parameters = "pebble", {"technique": "pebble"}

    @classmethod
    def from_settings(cls, section, folder):
        pebble = cls()
        pebble.settings = read_section(PebbleSettings, section, "pebble")
        return pebble

    @classmethod
    def template(cls):
        return TEMPLATE

    def check(self):
        yield Finding("pebbles", f"{self.settings.width:g} wide", "" if self.settings.width > 0 else "make it wider")

    def sketch(self, figure, frame=None):
        if frame is not None and frame.shape[1] != self.settings.width:
            raise ValueError("the frame is not as wide")
        figure.subplots().plot([0, self.settings.width])
'''


@pytest.fixture
def pebble(site, tmp_path, monkeypatch):
    site.install("pebble", {"a_pebble": PEBBLE}, techniques="a_pebble:Pebble")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, **options):
    env = {"COLUMNS": "200"}
    return CliRunner().invoke(ainerd.cli.app, [str(a) for a in arguments], env=env, **options)


def init(*arguments, **options):
    return run("init", "here/agent.toml", "--technique", "pebble", *arguments, **options)


def test_the_template_alone_loads_and_passes(pebble):
    done = init()
    assert done.exit_code == 0, done.output
    settings = Settings.load("here/agent.toml")
    assert (settings.technique, settings.section) == ("pebble", {"width": 3})
    text = (pebble / "here" / "agent.toml").read_text()
    assert 'width = 3  # in mm\n# note = "of \\"note\\""  # e.g.: anything\n' in text
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
    given = {
        "name": "P1",
        "detector.image": '"eiger_image"',
        "detector.n_frames": "",
        "steering.bounds": "{ x = [-1.0, 1.0] }",
        "pebble.width": "120",
        "pebble.note": "it's round",
        "pebble.size.inner": "2",
        "steering.dose_limit": "4",
        "recorded.readings": '{ weight = "scale_weight" }',
        "recorded.units.x": "mm",
    }
    done = init(*(x for key, value in given.items() for x in ("--set", f"{key}={value}")))
    assert done.exit_code == 0, done.output
    settings, text = Settings.load("here/agent.toml"), (pebble / "here" / "agent.toml").read_text()
    assert settings.section == {"width": 120, "size": {"inner": 2}, "note": "it's round"}
    assert (settings.name, settings.steering.dose_limit, settings.steering.bounds) == ("P1", 4, {"x": (-1.0, 1.0)})
    assert (settings.detector.n_frames, settings.detector.frame_time_s) == ("", "detector_cam_acquire_period")
    assert settings.recorded.readings == {"weight": "scale_weight"} and settings.recorded.units == {"x": "mm"}
    assert 'note = "it\'s round"  # anything\n' in text and "dose_limit = 4  # exposures that a spot may get" in text
    init()
    assert len(text.splitlines()) == len((pebble / "here" / "agent.toml").read_text().splitlines())


def test_a_frame_is_drawn(pebble):
    np.save("frame.npy", np.ones((3, 4, 6), np.uint16))
    (pebble / "90_ainerd.py").touch()
    refused = init("--startup", ".")
    assert "90_ainerd.py exists" in str(refused.exception) and not (pebble / "here").exists()
    assert init("--set", "pebble.width=6").exit_code == 0
    assert run("check", "here/agent.toml", "--draw", "p.png", "--frame", "frame.npy").exit_code == 0
    np.save("other.npy", np.ones((4, 5)))
    other = json.loads(run("check", "here/agent.toml", "--draw", "p.png", "--frame", "other.npy", "--json").stdout)
    assert other[-1] == {
        "subject": "picture", "state": "the frame is not as wide", "remedy": "correct it", "ok": False
    }  # fmt: skip


def test_nothing_is_overwritten_and_nothing_half_written(pebble):
    assert init().exit_code == 0
    again = init()
    assert isinstance(again.exception, ValueError) and "exists: give another name, or --force" in str(again.exception)
    assert init("--force", "--set", "pebble.width=9").exit_code == 0
    for bad, message in (
        ("no equals", "needs KEY=VALUE"),
        ("steering.bounds.x=[0,1]", "the values of --set are not valid TOML"),
        ("steering.bounds={x = [.1, 1]}", "--set steering.bounds: {x = [.1, 1]} is not valid TOML"),
    ):
        refused = run("init", "new.toml", "--technique", "pebble", "--set", bad)
        assert message in str(refused.exception) and not (pebble / "new.toml").exists()
    assert "'pebbel'" in str(run("init", "new.toml", "--technique", "pebbel").exception)


@pytest.mark.parametrize("bounds", ["", "5", "samx -2 8"])
def test_settings_with_a_mistake_are_kept_and_the_startup_file_follows(pebble, bounds):
    done = init("--startup", "s", "--set", f"steering.bounds={bounds}", "--set", "name=P1")
    assert done.exit_code == 1 and "steering.bounds" in done.stdout and not (pebble / "s").exists()
    assert (
        "no startup file is written: correct here/agent.toml, then give --startup again, without --set" in done.stdout
    )
    toml = pebble / "here" / "agent.toml"
    fixed = re.sub("^#? ?bounds = .*$", "bounds = { samx = [-2, 8] }", toml.read_text(), flags=re.MULTILINE)
    toml.write_text(fixed)
    assert init("--startup", "s").exit_code == 0 and toml.read_text() == fixed
    assert "samx" in (pebble / "s" / "90_ainerd.py").read_text()


def test_problems_come_with_remedies(pebble):
    done = init("--set", "pebble.width=-1", "--set", "pebble.wide=2")
    assert done.exit_code == 1 and "pebble.wide: unknown key, did you mean 'width'?" in done.stdout
    init("--force", "--set", "pebble.width=-1")
    findings = json.loads(run("check", "here/agent.toml", "--json").stdout)
    assert [f["remedy"] for f in findings if not f["ok"]] == ["make it wider"]
    assert {"storage.directory", "technique pebble", "pebbles"} <= {f["subject"] for f in findings}
    assert run("check", "nowhere.toml").exit_code == 1
    assert "--draw" in str(run("check", "here/agent.toml", "--frame", "x.npy").exception)


@pytest.mark.parametrize("depth", [300, 600, 3000])
@pytest.mark.parametrize("before", ["", "[pebble]\n"])
def test_a_file_of_endless_brackets_gives_few_lines(pebble, depth, before):
    (pebble / "deep.toml").write_text(f'technique = "pebble"\n{before}x = {depth * "["}{depth * "]"}\n')
    findings = json.loads(run("check", "deep.toml", "--json").stdout)
    lines = [each["state"] for each in findings if not each["ok"]]
    assert 1 <= len(lines) < 10 and not any("\n" in line or len(line) > 300 for line in lines)
    assert depth < 3000 or lines == ["deep.toml: lists or tables lie too deep in each other"]


def test_a_technique_without_template_and_sketch(marble, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("init", "m.toml", "--technique", "marble").exit_code == 0
    assert tomllib.loads((tmp_path / "m.toml").read_text())["technique"] == "marble"
    done = run("check", "m.toml", "--draw", "m.png")
    assert done.exit_code == 1 and "technique marble draws none" in done.stdout


def test_the_frames_of_an_eiger_are_behind_the_links_of_its_master_file(tmp_path):
    """The only frame-like dataset of the master file itself is the pixel mask."""
    with h5py.File(tmp_path / "s_1_data_000001.h5", "w") as file:
        file["entry/data/data"] = np.full((10, 5, 7), 3, np.uint16)
    with h5py.File(tmp_path / "s_1_master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("s_1_data_000001.h5", "/entry/data/data")
        file["entry/data/data_000002"] = h5py.ExternalLink("s_1_data_000002.h5", "/entry/data/data")  # not there
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = np.zeros((5, 7), np.uint32)
    assert (mean_frame(tmp_path / "s_1_master.h5") == 3).all()


def test_a_mean_frame_of_a_file(tmp_path):
    frames = np.random.default_rng(0).poisson(3.0, (120, 5, 7)).astype(np.int32)
    frames[:, 2, 3] = -1
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["entry/data/data"], file["entry/flat"], file["entry/times"] = frames, np.ones((5, 7)), np.arange(120)
    mean = mean_frame(tmp_path / "f.h5")
    assert np.isnan(mean[2, 3]) and np.isnan(mean).sum() == 1
    taken = frames[np.unique(np.linspace(0, 119, 50).astype(int))]
    assert np.allclose(np.delete(mean, 17), np.delete(taken.mean(axis=0), 17))
    assert (mean_frame(tmp_path / "f.h5", "entry/flat") == 1).all()
    frames[4:6] = np.iinfo(np.int32).max  # two spoilt frames
    np.save(tmp_path / "spoilt.npy", frames[:10])
    good = np.delete(frames[:10], (4, 5), axis=0).mean(axis=0)
    assert np.allclose(np.delete(mean_frame(tmp_path / "spoilt.npy"), 17), np.delete(good, 17))
    np.save(tmp_path / "four.npy", np.zeros((2, 2, 3, 4)))
    for path, dataset, message in (
        (tmp_path / "no.h5", None, "there is no file"),
        (tmp_path / "f.h5", "entry/time", "f.h5: there is no entry/time"),
        (tmp_path / "f.h5", "entry/times", r"must be of \(ny, nx\)"),
        (tmp_path / "text.h5", None, "text.h5: "),
        (tmp_path / "text.npy", None, "text.npy: "),
        (tmp_path / "four.npy", None, r"got float64 of shape \(2, 2, 3, 4\)$"),
    ):
        if path.stem == "text":
            path.write_text("text")
        with pytest.raises(ValueError, match=message):
            mean_frame(path, dataset)
