"""Cyclic shear against independent generators: Gaussian fields of layers in a gap, by numpy alone.

order      ordinary cyclic runs of 60 cycles with 2 to 32 frames a cycle at any first phase: how many have a reason
           against their frames, and how many are found with every two frames exchanged, of those in which C2 falls
           by 2 % or more from frames 1 apart to those 3 apart, and of all; and steady runs

yielding   frames of one phase and a record of 100 cycles: at a cycle the rate of rearrangements rises by 4 or more and
           G' falls by 15 % or more. Steps that are found when the run ends with their third cycle, and later; exponents
           of training in these, in steady runs and in runs that train

creep      a sample that returns, while its mean strain creeps by 2 to 5 % of the amplitude a cycle, and one that
           rearranges without creep: how often a tau is given

irregular  80 cycles whose lengths scatter by 0 to 8 %, with 40 frames in each; the stress has no third harmonic: how
           many have a reason against them, or more than one stretch; a tau, its pulls, G' over the truth, and the third
           harmonic of the stress in its errors

A field has six layers at heights of the gap, which move with the strain, and lose their memory at each frame.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from threadpoolctl import threadpool_limits

from ainerd.technique import RunInfo
from ainerd_shear import Echoes, cycle_moduli, phase_of_record
from ainerd_shear._cycles import CycleResult, Cycles
from ainerd_shear.part import CyclesSettings, cycle_numbers
from ainerd_xpcs.numerics import MultiTau, Partition, Screen, Screened, TwoTimeReducer
from ainerd_xpcs.technique import RheoXPCS, Share, rings
from ainerd_xpcs.technique._checks import Doubts
from ainerd_xpcs.technique._correlated import Correlated
from studies._tools import Row, Study, interval, report

LAYERS, N_BINS, SIDE = 6, 8, 32
CLEAR = 0.02  # `fall` of a run whose frames can be told from exchanged ones
PARTITION = Partition.from_roi_map(
    np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * N_BINS // SIDE**2 + 1, q=[0.03] * N_BINS
)

study = Study(__doc__)


@study.part
def order(runs: int = 300) -> None:
    """Count ordinary runs that are refused, and exchanged frames that are found."""
    with threadpool_limits(1):
        report("shear_truth_order", ordered(runs), most={"refused": 0.01}, least={"exchanged, found": 0.95})


def ordered(n_runs: int) -> Iterator[Row]:
    """Yield the shares of cyclic runs with whole and with other numbers of frames a cycle, and of steady runs."""
    for kind in ("whole frames a cycle", "any frames a cycle", "steady"):
        reasons, falls, found = [], [], []
        for seed in track(range(n_runs if kind.startswith("w") else n_runs // 3), kind, transient=True):
            rng = np.random.default_rng([seed, len(kind)])
            shift, loss = run_of(kind, rng)
            counts = counted(shift, loss, rng)
            reasons.append(doubted(counts))
            falls.append(fall(shift, loss))
            first = int(rng.integers(2))
            n = (len(counts) - first) // 2 * 2
            counts[first : first + n] = (
                counts[first : first + n].reshape(-1, 2, SIDE, SIDE)[:, ::-1].reshape(n, SIDE, SIDE)
            )
            found.append(doubted(counts) is not None)
        refused, clear = [each for each in reasons if each], np.array(falls) >= CLEAR
        yield {
            "what": kind,
            "n": len(reasons),
            "refused": len(refused) / len(reasons),
            "of": interval(len(refused), len(reasons)),
            "clear": int(clear.sum()),
            "exchanged, found": float(np.mean(np.array(found)[clear])),
            "of all": float(np.mean(found)),
            "why": "; ".join(sorted(set(refused)))[:120],
        }


def run_of(kind: str, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Draw a run: shift and loss of each frame, as `counted` takes them."""
    if kind == "steady":
        n = int(rng.integers(120, 800))
        return np.zeros(n), np.full(n, 1 / between(1, 40, rng))
    a_cycle = int(rng.integers(2, 33)) if kind.startswith("w") else between(2, 32, rng)
    phase = rng.random() + np.arange(int(60 * a_cycle)) / a_cycle
    strain, rate = np.sin(2 * np.pi * phase), np.ones(len(phase))
    shape = rng.integers(3)
    if shape == 1:  # rearrangements in one half of the cycle
        rate = 2.0 * ((phase + rng.random()) % 1 < 0.5)
    elif shape == 2:  # with the strain rate
        rate = np.abs(np.cos(2 * np.pi * phase)) * np.pi / 2
    return between(0.3, 8, rng) * strain, rate / a_cycle / between(2, 60, rng)


def fall(shift: NDArray, loss: NDArray) -> float:
    """Return the share by which C2 of frames 1 apart exceeds that of frames 3 apart with the same middle, by theory."""
    along, worn = np.cos(np.linspace(0, np.pi, 90)) / (2 * np.pi), np.cumsum(loss)

    def alike(first: int, last: int) -> float:
        apart, lost = (x[last : len(x) - 3 + last] - x[first : len(x) - 3 + first] for x in (shift, worn))
        return float(np.mean(np.exp(-2 * lost) * np.mean(np.sinc(apart[:, None] * along) ** 2, axis=1)))

    return 1 - alike(0, 3) / alike(1, 2)


@study.part
def yielding(runs: int = 80) -> None:
    """Count steps and exponents of training."""
    with threadpool_limits(1):
        rows = list(yielded(runs))
    report("shear_truth_yielding", rows, most={"training": "most"}, least={"found": 0.8})


def yielded(n_runs: int) -> Iterator[Row]:
    """Yield the shares of runs in which steps and training are found."""
    n = 100
    for kind in ("step at its third cycle", "step", "steady", "training"):
        steps, exponents, pulls = [], [], []
        for seed in track(range(n_runs), kind, transient=True):
            rng = np.random.default_rng([seed, n])
            at, rate, soft = int(rng.integers(15, 85)), np.full(n, 1 / between(10, 100, rng)), np.full(n, 400.0)
            if kind.startswith("step"):
                rate[at:] *= between(4, 12, rng)
                soft[at:] *= rng.uniform(0.65, 0.85)
            elif kind == "training":
                rate = 1 / between(2, 10, rng) * (1.0 + np.arange(n)) ** -rng.uniform(0.4, 1)
                soft *= 1 + 0.03 * np.log1p(np.arange(n))
            end = at + 3 if kind.startswith("step at") else n
            share = numbers_of(counted(np.zeros(end), rate[:end], rng), *record_of(np.zeros(end), soft[:end], rng))
            table = share.tables["stretches"]
            found = table["first_cycle"][table["yields"]]
            steps.append(bool((np.abs(found - at - 1) <= 1).any()) if kind.startswith("step") else bool(found.size))
            exponents.append(share.summary.get("training_exponent") is not None)
            if kind == "step" and steps[-1] and found.size == 1:
                for part, some in enumerate((slice(0, at), slice(at, n))):
                    tau, error = (table[f"tau_cycles{e}"][part] for e in ("", "_err"))
                    pulls.append((tau - 1 / rate[some].mean()) / error)
                    pulls.append((table["storage_pa"][part] - soft[some].mean()) / table["storage_pa_err"][part] * 1j)
        known = np.array([x for x in pulls if np.isfinite(x)])
        yield {
            "what": kind,
            "n": n_runs,
            "found" if kind.startswith("step") else "steps": float(np.mean(steps)),
            "training": float(np.mean(exponents)),
            "tau given": float(np.mean(np.isfinite([x for x in pulls if not np.imag(x)]))) if pulls else np.nan,
            "sd of pulls, tau": float(np.std(known[known.imag == 0].real)) if pulls else np.nan,
            "G'": float(np.std(known.imag[known.imag != 0])) if pulls else np.nan,
            "most": 1.0 if kind == "training" else 0.05,
        }


@study.part
def creep(runs: int = 40) -> None:
    """Count the times that are given as those of the sample."""
    with threadpool_limits(1):
        report("shear_truth_creep", list(crept(runs)), most={"tau given": "most"}, least={"tau given": "least"})


def crept(n_runs: int) -> Iterator[Row]:
    """Yield the share of runs with a tau."""
    n = 80
    for kind, reach in (("creeps by 2 to 5 % a cycle", (0.02, 0.05)), ("rearranges", (1e-6, 1e-5))):
        given, why = 0, set()
        for seed in track(range(n_runs), kind, transient=True):
            rng = np.random.default_rng([seed, n])
            level = between(*reach, rng) * np.arange(n)
            loss = np.full(n, 0.0 if kind.startswith("c") else 1 / between(5, 20, rng))
            counts = counted(between(5, 10, rng) * level, loss, rng)
            numbers = numbers_of(counts, *record_of(level, np.full(n, 400.0), rng)).summary
            given += numbers["tau_cycles"] is not None
            why.add(str(numbers["no_tau_cycles"]).split(" by ")[0])
        least = 0.0 if kind.startswith("c") else 0.9
        yield {
            "what": kind,
            "n": n_runs,
            "tau given": given / n_runs,
            "why": "; ".join(why),
            "least": least,
            "most": least and 1,
        }


@study.part
def irregular(runs: int = 24) -> None:
    """Measure runs of the whole way: frames and record come in parts."""
    with threadpool_limits(1):
        rows = list(scattered(runs))
    most = {"no echoes": 0.0, "more stretches": 0.05, "|G' - 1|": 0.005, "sd of pulls, tau": 1.3}
    report("shear_truth_irregular", rows, most=most, least={"tau given": 0.9, "harmonic within 2": 0.9})


def scattered(n_runs: int, n: int = 80, a_cycle: int = 40) -> Iterator[Row]:
    """Yield the numbers of runs by the scatter of their lengths."""
    for scatter in (0.0, 0.02, 0.04, 0.06, 0.08):
        reasons, numbers, truth = [], [], []
        for seed in track(range(n_runs), f"{scatter:.0%}", transient=True):
            rng = np.random.default_rng([seed, n, 3])
            begins = np.append(0, np.cumsum(1 + scatter * np.clip(rng.standard_normal(n + 2), -2.5, 2.5)))
            t = np.arange(0, begins[-1], 0.02)
            turn, noise = 2 * np.pi * np.interp(t, begins, np.arange(n + 3)), rng.standard_normal((2, len(t)))
            stress = 40 * np.sin(turn) + 6 * np.cos(turn) + 1.2 * noise[0]
            record = {"time": t, "strain": 0.1 * (np.sin(turn) + 0.005 * noise[1]), "stress": stress}
            at = begins[1] + np.arange(n * a_cycle) / a_cycle
            at = at[at < begins[-1] - 0.5]
            tau = between(5, 20, rng)
            phase = np.interp(at, begins, np.arange(n + 3))
            loss = np.diff(phase, prepend=phase[0]) / tau
            counts = counted(between(0.5, 2, rng) * np.sin(2 * np.pi * phase), loss, rng)
            share, reason = taken(record, counts, at)
            reasons.append(reason)
            truth.append(tau)
            numbers.append(
                {} if share is None else share.summary | {"stretches": len(share.tables["stretches"]["yields"])}
            )
        given = [
            (x["tau_cycles"] - tau) / x["tau_cycles_err"]
            for x, tau in zip(numbers, truth, strict=True)
            if x.get("tau_cycles_err")
        ]
        some = [x for x in numbers if x]
        yield {
            "lengths scatter by": scatter,
            "n": n_runs,
            "no echoes": float(np.mean([bool(each) for each in reasons])),
            "why": "; ".join(sorted(set(filter(None, reasons))))[:80],
            "more stretches": float(np.mean([x["stretches"] > 1 for x in some])),
            "tau given": len(given) / n_runs,
            "mean of pulls, tau": float(np.mean(given)),
            "sd of pulls, tau": float(np.std(given)),
            "|G' - 1|": abs(float(np.mean([x["storage_pa"] for x in some])) / 400 - 1),
            "harmonic within 2": float(np.mean([x["third_harmonic"] < 2 * x["third_harmonic_err"] for x in some])),
            "phase off": float(np.mean([x["phase_off"] for x in some])),
        }


class Coming:
    """Readings of a record that has come up to a time."""

    def __init__(self, record: dict[str, NDArray], first_s: float) -> None:
        self.record, self.first_s, self.until_s = record, first_s, 0.0

    def value(self, key: str, unit: str = "") -> float | None:
        return None

    def of_frames(self, key: str, unit: str = "") -> NDArray:
        return np.empty(0)

    def series(self, key: str, unit: str = "") -> NDArray:
        """Return time stamps and values."""
        if key == "gate":
            return np.array([[self.first_s], [self.first_s]])
        came = self.record["time"] <= self.until_s
        return np.array([self.record["time"][came], self.record[key][came]])


def taken(record: dict[str, NDArray], counts: NDArray, at: NDArray) -> tuple[Share | None, str]:
    """Return the numbers of frames at even times beside a record, or the reason why there are none."""
    readings = Coming(record, at[0])
    keys = CyclesSettings(strain="strain", stress="stress", time="time", first_frame="gate", phases=[0.25, 0.75])
    cycles, pixels = Cycles(keys, PARTITION, readings, float(at[1] - at[0])), PARTITION.pixels
    for first in range(0, len(counts), 200):
        frames = counts[first : first + 200].reshape(-1, SIDE * SIDE)[:, pixels]
        readings.until_s = at[min(first + 200, len(at)) - 1] + 0.5
        cycles.push(Screened(frames, np.ones(len(frames), bool), np.empty(0, np.int64), first))
    readings.until_s = np.inf
    result = cycles.finish()
    return (cycle_numbers(result, PARTITION, rings(PARTITION)), "") if result else (None, cycles.reason or "at rest")


def record_of(level: NDArray, storage: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    """Return time, strain and stress at 1 Hz, of cycles with these levels (in amplitudes) and G' (Pa)."""
    t = np.arange(-1.0, len(level) + 1, 0.02)
    cycle = np.clip(t.astype(int), 0, len(level) - 1)
    turn, noise = 2 * np.pi * t, rng.standard_normal((2, len(t)))
    drift = np.interp(t, np.arange(len(level)), level)
    strain = 0.1 * (np.sin(turn) + drift + 0.01 * noise[0])
    return t, strain, 0.1 * storage[cycle] * (np.sin(turn) + 0.15 * np.cos(turn) + 0.03 * noise[1])


def numbers_of(counts: NDArray, time: NDArray, strain: NDArray, stress: NDArray) -> Share:
    """Return the numbers of frames at a quarter of each cycle, 0 to the last, beside a record."""
    phase = phase_of_record(time, strain)
    at = phase.at(np.arange(len(counts)) + 0.25)
    echoes = Echoes(PARTITION, [0.25])
    echoes.push(counts, at)
    echoes.end()
    moduli = cycle_moduli(time, strain, stress, phase)
    result = CycleResult(echoes.result(), int(np.floor(at[0])), phase, moduli, "", None)
    return cycle_numbers(result, PARTITION, rings(PARTITION))


def between(low: float, high: float, rng: np.random.Generator) -> float:
    """Draw a number, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def counted(shift: NDArray, loss: NDArray, rng: np.random.Generator, photons: float = 3.0) -> NDArray:
    """Return counts (T, ny, nx) of pixels all around the beam.

    `shift` is q times the displacement of the upper plate along the flow, of a pixel along the flow; field correlations
    fall by exp(-loss) from the frame before.
    """
    along = np.cos(np.linspace(0, 2 * np.pi, SIDE * SIDE, endpoint=False))
    heights = (np.arange(LAYERS) + rng.random(LAYERS)) / LAYERS - 0.5
    out, memory = np.empty((len(shift), SIDE * SIDE)), np.exp(-loss)
    layers, turns = circular((LAYERS, SIDE * SIDE), rng), 1j * heights[:, None] * along
    for t in range(len(shift)):
        if memory[t] < 1:
            layers = memory[t] * layers + np.sqrt(1 - memory[t] ** 2) * circular(layers.shape, rng)
        out[t] = np.abs((layers * np.exp(shift[t] * turns)).sum(0)) ** 2 / LAYERS
    return rng.poisson(photons * out).astype(np.uint16).reshape(-1, SIDE, SIDE)


def circular(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray:
    """Return complex Gaussian numbers of variance 1."""
    return (rng.standard_normal((*shape, 2), np.float32) @ np.array([1, 1j], np.complex64)) / np.sqrt(2)


def doubted(counts: NDArray) -> str | None:
    """Return the reason that the technique has against frames, or None."""
    n = len(counts)
    screen, reducer, correlator = Screen(PARTITION, n), TwoTimeReducer(PARTITION, n), MultiTau(PARTITION)
    for block in [
        block for first in range(0, n, 25) for block in screen.push(counts[first : first + 25])
    ] + screen.flush():
        block.to(reducer, correlator)
    info = RunInfo(raw_uid="x", n_frames=n, frame_shape=(SIDE, SIDE), frame_time_s=0.1)
    doubts = Doubts.of(Correlated(RheoXPCS(PARTITION), info, screen, reducer, correlator))
    return doubts.frames or doubts.maps


if __name__ == "__main__":
    study()
