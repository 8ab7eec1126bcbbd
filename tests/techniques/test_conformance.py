"""Every technique passes the checks, and each check can fail."""

import itertools
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ainerd.technique import AnalysisError, Regimes, RunAnalysis
from ainerd.testing import ExampleRun, TechniqueCheckError, analyse, check_technique
from ainerd_xpcs.technique import Bank, RheoXPCS
from tests.techniques.toy.toy import Toy, Trajectory

SMALL = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs" / "small.toml"
FRAMES = np.random.default_rng(1).poisson(3.0, (12, 6, 8)).astype(np.uint16)


@pytest.mark.parametrize("unit", ["run", "ramp"])
def test_the_toy_passes(installed_toy, unit):
    section = {"unit": unit, "usual_counts": [3.9, 4.0, 4.1]}
    check_technique(Toy(**section), section=section)


def test_rheo_xpcs_passes(bank_file):
    """With a small detector, on two exposures of static speckle, against a part of its bank."""
    section = tomllib.loads(SMALL.read_text())["rheo_xpcs"]
    technique = RheoXPCS.from_settings(section, SMALL.parent)
    technique.bank = Bank.load(bank_file)
    rng = np.random.default_rng(0)
    means = rng.gamma(5.0, 0.4, (2, *technique.partition.shape))
    runs = [
        ExampleRun(frames=rng.poisson(np.broadcast_to(mean, (80, *mean.shape))).astype(np.uint16)) for mean in means
    ]
    check_technique(technique, runs, section=section, folder=SMALL.parent)


# Toys that are broken, one in each way.


class Passes(RunAnalysis):
    """An analysis that passes everything on to the toy's."""

    def __init__(self, toy, run):
        self.toy, self.run, self.inner = toy, run, Trajectory(toy, run.frame_shape)

    pixels, means = (property(lambda self, name=name: getattr(self.inner, name)) for name in ("pixels", "means"))

    def push(self, block, first):
        self.inner.push(block, first)

    def finish(self):
        return self.inner.finish()


def says(**changes):
    """A toy whose analysis has other fields; a callable gets the analysis."""

    class Says(Passes):
        def finish(self):
            analysis = self.inner.finish()
            return replace(analysis, **{k: v(analysis) if callable(v) else v for k, v in changes.items()})

    return begins(Says)


def begins(kind, unit="run", **attributes):
    return has(unit, begin=lambda self, run: kind(self, run), **attributes)


def has(unit="run", **attributes):
    return type("Broken", (Toy,), attributes)(unit)


class Refuses(Passes):
    def __init__(self, toy, run):
        raise AnalysisError("wants a temperature")


class Twice(Passes):
    pixels = np.array([3, 3])


class Blockwise(Passes):
    def push(self, block, first):
        self.means.append(block.mean())


class InPlace(Passes):
    def push(self, block, first):
        block -= 1
        self.inner.push(block, first)


class Shared(Passes):
    def __init__(self, toy, run):
        super().__init__(toy, run)
        toy.means = []

    def push(self, block, first):
        self.toy.means += block.mean(axis=1).tolist()

    def finish(self):
        self.inner.means = self.toy.means
        return self.inner.finish()


class WantsTemperature(Passes):
    def finish(self):
        float(self.run.readings.value("temperature"))
        return self.inner.finish()


class Forgets(Passes):
    def finish(self):
        analysis = self.inner.finish()
        self.inner.means = []
        return analysis


class HalfEmpty(Passes):
    def finish(self):
        analysis, n = self.inner.finish(), self.run.n_frames
        missing = n is not None and len(self.inner.means) < n
        return replace(analysis, embedding=analysis.embedding * np.float32(np.nan if missing else 1))


def regimes_of(change):
    """Return regimes of the toy after a change."""

    def regimes(self, embeddings, previous=None):
        return change(Toy().regimes(embeddings, previous))

    return regimes


def all_one(regimes):
    labels = np.zeros_like(regimes.labels)
    return Regimes(labels=labels, n_regimes=1, supported_range=(1, 1), predict=lambda z: np.zeros(len(z), np.int64))


POINTS = itertools.count()
BROKEN = [
    ("protocol", Toy, "type must inherit from ainerd.technique.Technique"),
    ("protocol", has(regimes=None), "there is no regimes"),
    ("protocol", has(name="storage"), "and no key of the settings"),
    ("protocol", Toy(alpha=5), "alpha must be a number in (0, 1), got 5"),
    ("parameters", has(parameters=property(lambda self: {"n": next(POINTS)})), "an analysis changes the parameters"),
    ("settings", has(from_settings=classmethod(lambda cls, s, f: cls())), "misspelt key of the section is ignored"),
    ("example_runs", begins(Refuses), "wants a temperature; give runs="),
    ("example_runs", begins(Passes, embedding_size=3), "finite float32 of shape (3,), got float32 of shape (4,)"),
    ("example_runs", says(novelty_p=1.5), "novelty_p must be None or lie in [0, 1], got 1.5"),
    ("example_runs", says(novelty_p=0.5, calibration={}), "calibration['alpha'] must be"),
    ("example_runs", says(dims={}), "dims['trajectory'] is missing: name the 1 dimension(s)"),
    ("example_runs", says(units={}), "units['counts'] is missing"),
    ("example_runs", says(summary={"status": "good"}), "'status' is taken"),
    ("pixels", begins(Twice), "different flat indices in a frame"),
    ("block_sizes", begins(Blockwise), "the same frames in blocks of 7 give another"),
    ("block_sizes", says(embedding=lambda a: a.embedding + next(POINTS)), "once more give another embedding"),
    ("block_sizes", begins(InPlace), "push() changes the block"),
    ("interleaved_runs", begins(Shared), "keep the state of a run in the object that begin() returns"),
    ("series", begins(Forgets, "ramp"), "after the first run of a series changes"),
    ("odd_runs", begins(WantsTemperature), "raise AnalysisError with a reason, or give a result"),
    ("odd_runs", begins(HalfEmpty), "1 of 13 frames: the embedding must be finite"),
    ("regimes", has(regimes=regimes_of(lambda r: replace(r, n_regimes=9))), "n_regimes is 9, the labels have"),
    ("regimes", has(regimes=regimes_of(all_one)), "in one regime that are 20 times regime_width = 3.0 apart"),
    ("regimes", has(regimes=lambda self, z, previous=None: Toy().regimes(z)), "find_regimes(embeddings"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "technique", "message"), BROKEN, ids=[f"{n}-{m[:30]}" for n, _, m in BROKEN])
def test_a_broken_toy_fails_with_a_message(name, technique, message):
    run = ExampleRun(frames=FRAMES, readings={"temperature": 300.0})
    with pytest.raises(TechniqueCheckError) as caught:
        check_technique(technique, [run], section={"unit": "run"})
    first, *problems = str(caught.value).splitlines()
    assert first == f"technique {getattr(technique, 'name', '')!r} fails {len(problems)} check(s):"
    assert any(line.startswith(f"  {name}: ") and message in line for line in problems)


def test_readings_grow_with_the_frames():
    seen = []

    class Looks(Passes):
        def push(self, block, first):
            r = self.run.readings
            lengths = len(r.of_frames("t")), len(r.series("t")[0])
            seen.append((r.value("t"), r.value("once"), r.value("none"), *lengths))
            self.inner.push(block, first)

        def finish(self):
            np.testing.assert_array_equal(self.run.readings.of_frames("t"), np.arange(12.0))
            np.testing.assert_array_equal(self.run.readings.of_frames("once"), np.full(12, 7.0))
            assert np.isnan(self.run.readings.of_frames("none")).all()
            return self.inner.finish()

    run = ExampleRun(frames=FRAMES, readings={"t": np.arange(12), "once": 7})
    analyse(begins(Looks), run, block=5)
    assert seen == [(0.0, 7.0, None, 5, 5), (0.0, 7.0, None, 10, 10), (0.0, 7.0, None, 12, 12)]


def test_whole_frames_come_after_the_blocks_that_hold_them():
    seen = []

    class Draws(Passes):
        every = 3

        def whole(self, frame, number):
            seen.append((number, len(self.inner.means)))
            np.testing.assert_array_equal(frame, FRAMES[number])

    technique = begins(Draws)
    analyse(technique, ExampleRun(frames=FRAMES), block=4)
    assert seen == [(2, 4), (5, 8), (8, 12), (11, 12)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"frames": FRAMES[0]}, "must be \\(n, ny, nx\\)"), ({"frames": FRAMES, "readings": {"t": [1, 2]}}, "each of 12")],
)
def test_an_invalid_example_run_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ExampleRun(**fields)
