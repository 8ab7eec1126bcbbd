"""Runs that oscillate, against the truth of the simulated rheometer and sample."""

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ainerd.config import Detector
from ainerd.documents import Run
from ainerd.technique import RunInfo
from ainerd_shear._cycles import CycleClock, Cycles
from ainerd_shear.part import DIMS, TEXTS, UNITS, CyclesSettings, cycle_numbers
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.numerics import Screened
from ainerd_xpcs.technique import RheoXPCS, rings
from sim_devices import Cycled, Oscillation, SoftSolid, frame_times, write_oscillation
from tests.shear.cycled import PARTITION, PLACE, counted

STEADY = Oscillation(frequency_hz=0.5, steps=((1.0, 0.05),), begin_s=3.0)
KEYS = CyclesSettings(strain="strain", stress="stress", time="time", first_frame="gate", phases=[0.25])
STAMP = 1.7e9
N_CYCLES, D = 80, 60.0
ROOT = Path(__file__).resolve().parents[2]


class Record:
    """Readings of a record that has come up to some time of its clock."""

    def __init__(self, record, gate_s, until_s=np.inf):
        self.record, self.gate_s, self.until_s = record, gate_s, until_s

    value = staticmethod(lambda key, unit="": None)
    of_frames = staticmethod(lambda key, unit="": np.empty(0))

    def series(self, key, unit=""):
        if key == "gate":
            return np.array([[STAMP, STAMP + 1], [np.nan, self.gate_s]])
        came = self.record["time"] <= self.until_s
        stamps = STAMP + np.arange(came.sum()) / 50  # the clock of the instrument is another one
        return np.array([stamps, self.record[key][came]])


def record(oscillation=STEADY, seconds=200.0, noise=0.01):
    rng = np.random.default_rng(1)
    return write_oscillation(oscillation, SoftSolid(), int(20 * seconds), every_s=0.05, noise=noise, rng=rng)


def changed(**columns):
    """A record of which some columns are changed."""
    return record() | {name: change(record()[name]) for name, change in columns.items()}


@cache
def movie():
    """A frame at each turn, of a sample that diffuses by D a cycle."""
    rng = np.random.default_rng(0)
    t_s = frame_times(STEADY, N_CYCLES, [0.25], rng=rng)
    sample = Cycled(family="decaying", oscillation=STEADY, diffusion_nm2=D)
    return t_s, counted(sample, t_s, rng)


def block(first, frames):
    return Screened(frames, np.ones(len(frames), bool), np.empty(0, np.int64), first)


def watched(readings):
    _, counts = movie()
    cycles = Cycles(KEYS, PARTITION, readings, 2.0)
    for first in range(0, N_CYCLES, 20):
        cycles.push(block(first, counts[first : first + 20, PARTITION.pixels]))
    return cycles


@cache
def of_whole_record():
    return watched(Record(record(), movie()[0][0])).finish()


def test_echoes_and_moduli_are_those_of_the_sample():
    numbers = cycle_numbers(of_whole_record(), PARTITION, rings(PARTITION))
    tau, error = numbers.summary["tau_cycles"], numbers.summary["tau_cycles_err"]
    assert tau == pytest.approx(1 / (D * np.mean(PLACE.q_inv_nm**2)), abs=4 * error)
    assert error < 0.25 * tau
    storage, loss = SoftSolid().moduli(0.05)
    assert numbers.summary["storage_pa"] == pytest.approx(storage, abs=5 * numbers.summary["storage_pa_err"])
    assert numbers.summary["tan_delta"] == pytest.approx(loss / storage, abs=5 * numbers.summary["tan_delta_err"])
    assert numbers.summary["cycle_frequency_hz"] == pytest.approx(0.5, rel=1e-3)
    assert numbers.summary["cycles_changed"] is None
    assert numbers.summary["phase_off"] < 0.005


def test_a_strain_that_creeps_explains_the_decay_of_the_echoes():
    """The frames are those of a sample that diffuses; the record says that they see other strains."""
    for creep, why in ((0.0005, None), (0.03, "the strain creeps by")):
        crept = changed(strain=lambda x, of=creep: x + of * 0.05 * np.arange(len(x)) / 40)
        result = watched(Record(crept, movie()[0][0])).finish()
        numbers = cycle_numbers(result, PARTITION, rings(PARTITION))
        given = numbers.summary["tau_cycles"]
        assert (given is None) == np.isnan(numbers.tables["echoes"]["tau_cycles"]).all() == (why is not None)
        assert why is None or numbers.summary["no_tau_cycles"].startswith(why)
        assert result.phase.creep(10) == pytest.approx(10 * creep, abs=0.003)
    assert numbers.summary["frames_outside_cycles"] == 0


def test_echo_and_modulus_change_in_the_cycle_in_which_the_sample_yields():
    step, rng = Oscillation(frequency_hz=0.5, steps=((30.0, 0.05), (30.0, 0.25)), begin_s=3.0), np.random.default_rng(3)
    t_s = frame_times(step, 50, [0.25], rng=rng)
    counts = counted(Cycled(family="yielding", oscillation=step, diffusion_nm2=D, yield_strain=0.1), t_s, rng)
    cycles = Cycles(KEYS, PARTITION, Record(record(step), t_s[0]), 2.0)
    cycles.push(block(0, counts[:, PARTITION.pixels]))
    numbers = cycle_numbers(cycles.finish(), PARTITION, rings(PARTITION))
    table = numbers.tables["cycles"]
    assert (table["strain"] > 0.15).argmax() == 30  # frames begin in the first cycle
    assert np.nanmean(table["echo"][:30]) - np.nanmean(table["echo"][31:]) > 0.3
    first = numbers.summary["cycles_changed"].split(":")[0]
    assert first in {f"cycle {number}" for number in table["cycle"][30:32]}
    parts = numbers.tables["stretches"]
    assert len(parts["strain"]) == 2 and parts["echo"][0] - parts["echo"][1] > 0.3
    for k, strain in enumerate((0.05, 0.25)):
        storage, _ = SoftSolid().moduli(strain)
        assert parts["storage_pa"][k] == pytest.approx(storage, abs=5 * parts["storage_pa_err"][k])
    assert numbers.summary["tau_cycles"] is None and "2 stretches" in numbers.summary["no_tau_cycles"]


def test_numbers_of_cycles_are_on_the_page():
    page = (ROOT / "docs/reference/results.md").read_text().split("### Cyclic shear")[1].split("\n### ")[0]
    names = set(re.findall(r"`(\w+)`", page))
    assert {*UNITS, *TEXTS, *DIMS} - names - {f"{name}_err" for name in names} == set()


class Monitored(Record):
    """A record whose stress comes half as often as the strain, with time stamps of its own, and without a clock."""

    def series(self, key, unit=""):
        stamps, values = super().series(key)
        return np.array([stamps, values])[:, ::2] if key == "stress" else np.array([stamps, values])


def test_signals_that_come_at_different_times_are_put_together():
    steady = record(seconds=10.0)
    settings = KEYS.model_copy(update={"time": ""})
    time, strain, stress = CycleClock(settings, Monitored(steady, 0.0)).record(with_stress=True)
    assert time == pytest.approx(STAMP + np.arange(200) / 50)
    assert np.array_equal(strain, steady["strain"])
    assert np.array_equal(stress[:-1:2], steady["stress"][::2])
    assert stress[1] == pytest.approx(np.mean(steady["stress"][[0, 2]]))
    assert np.isnan(stress[-1])  # after the last value


def of_documents(units):
    """Readings of documents that state units, by data key."""
    run = Run(Detector(image="cam"), roots=[])
    keys = {key: {"source": "", "dtype": "number", "shape": [], "units": unit} for key, unit in units.items()}
    run("start", {"uid": "u", "time": STAMP})
    run("descriptor", {"uid": "d", "run_start": "u", "name": "record", "time": STAMP, "data_keys": keys})
    for i in range(3):
        data = {"time": 1000.0 * i, "strain": 10.0 * i, "stress": 0.5 * i, "gate": 500.0}
        stamps = dict.fromkeys(data, STAMP + i)
        event = {"uid": str(i), "descriptor": "d", "seq_num": i + 1, "time": STAMP + i}
        run("event", event | {"data": data, "timestamps": stamps})
    return SimpleNamespace(series=lambda key, unit="": run.series(key, None, unit))


def test_units_of_the_record_are_those_of_the_documents():
    clock = CycleClock(KEYS, of_documents({"time": "ms", "strain": "%", "stress": "kPa", "gate": "ms"}))
    time, strain, stress = clock.record(with_stress=True)
    assert clock.first_frame == 0.5
    assert (time[1], strain[1], stress[1]) == pytest.approx((1.0, 0.1, 500.0))
    for key, unit in (("strain", "mm"), ("time", "mm"), ("stress", "N")):
        clock = CycleClock(KEYS, of_documents({key: unit}))
        with pytest.raises(ValueError, match=f"'{key}': '{unit}' cannot be converted"):
            clock.record(with_stress=True)


def test_frames_wait_for_a_record_that_comes_late():
    t_s, _ = movie()
    readings = Record(record(), t_s[0], until_s=-1.0)
    cycles = watched(readings)
    readings.until_s = np.inf
    assert np.array_equal(cycles.finish().curves.height, of_whole_record().curves.height)


def test_clocks_that_differ_are_corrected():
    rng, off = np.random.default_rng(2), 0.1
    t_s = frame_times(STEADY, 6, np.arange(16) / 16, rng=rng)
    sample = Cycled(family="sheared", oscillation=STEADY, diffusion_nm2=20.0, direction_deg=0.0)
    counts = counted(sample, t_s, rng)
    gate_s = t_s[0] - off / STEADY.frequency_hz
    cycles = Cycles(KEYS, PARTITION, Record(record(seconds=40.0), gate_s), 2.0 / 16)
    cycles.push(block(0, counts[:, PARTITION.pixels]))
    result = cycles.finish()
    assert result.offset.cycles == pytest.approx(off, abs=4 * result.offset.error)
    assert result.curves.off_phase < 0.02


class Unread(Record):
    """A record without a reading at the first frame."""

    def series(self, key, unit=""):
        return np.empty((2, 0)) if key == "gate" else super().series(key)


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        (lambda: Record(record(seconds=6.5), movie()[0][0]), "cycles"),
        (lambda: Unread(record(), 0.0), "first frame was not read"),
        (lambda: Record(record(), 1e4), "no frame was taken while"),
        (lambda: Record(changed(time=lambda t: np.where(t > 100, t - 90, t)), movie()[0][0]), "run back from 100"),
        (lambda: Record(changed(time=np.floor), movie()[0][0]), "have one time in 'time', 0 s"),
    ],
)
def test_a_record_that_cannot_be_used_has_a_reason(readings, reason):
    cycles = watched(readings())
    assert cycles.finish() is None
    assert reason in cycles.reason


@pytest.fixture(scope="module")
def analysed(bank):
    """Analyse that movie, with the cycles of some readings or without."""

    @cache
    def analysis(readings=None):
        parts = {"cycles": KEYS} if readings else {}
        subject = RheoXPCS(PARTITION, Encoder.load(), bank, contrast=0.5, parts=parts)
        shape = PARTITION.shape
        run = RunInfo(raw_uid="x", n_frames=N_CYCLES, frame_shape=shape, frame_time_s=2.0, readings=readings)
        exposure = subject.begin(run)
        exposure.push(movie()[1][:, exposure.pixels], 0)
        return exposure.finish()

    return analysis


def test_an_ordinary_echo_is_ordinary_and_a_cycle_counts_as_a_frame(analysed):
    """A frame a cycle: the same frames without a record are a run whose map is that of the cycles."""
    oscillates, without = analysed(Record(record(), movie()[0][0])), analysed()
    assert oscillates.novelty_p > 0.05
    assert oscillates.novelty_p == pytest.approx(without.novelty_p, abs=0.2)
    np.testing.assert_allclose(oscillates.embedding, without.embedding, atol=0.1 * np.abs(without.embedding).max())
    assert {"echo", "echo_c2"} <= set(oscillates.arrays)
    assert {"echoes", "cycles"} <= set(oscillates.tables)
    assert all(oscillates.dims[name] == DIMS[name] for name in ("echo", "echo_lag", "echo_c2"))


def test_a_run_at_rest_is_as_without_a_record(analysed):
    still = record(Oscillation(frequency_hz=0.5, steps=((1.0, 0.0),)))
    with_keys, without = analysed(Record(still, movie()[0][0])), analysed()
    assert with_keys.summary == without.summary
    assert with_keys.arrays.keys() == without.arrays.keys()
    assert all(np.array_equal(x, without.arrays[name], equal_nan=True) for name, x in with_keys.arrays.items())
    assert with_keys.tables.keys() == without.tables.keys()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"strain": "s"}, "first_frame"),
        ({"strain": "s", "first_frame": "f", "phases": [0.25, 0.27]}, "windows that do not overlap"),
    ],
)
def test_settings_that_find_no_echoes_are_refused(given, reason):
    with pytest.raises(ValueError, match=reason):
        CyclesSettings(**given)
