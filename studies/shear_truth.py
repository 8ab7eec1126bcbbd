"""Cyclic shear against independent generators: Gaussian fields of layers in a gap, by numpy alone.

order      ordinary cyclic runs of 60 cycles with 2 to 32 frames a cycle at any first phase: how many have a reason
           against their frames, and how many are found with every two frames exchanged; and steady runs

A field has six layers at heights of the gap, which move with the strain, and lose their memory at each frame.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from threadpoolctl import threadpool_limits

from ainerd.technique import RunInfo
from ainerd_xpcs.numerics import MultiTau, Partition, Screen, TwoTimeReducer
from ainerd_xpcs.technique import RheoXPCS
from ainerd_xpcs.technique._checks import Doubts
from ainerd_xpcs.technique._correlated import Correlated
from studies._tools import Row, Study, interval, report

LAYERS, N_BINS, SIDE = 6, 8, 32
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
        reasons, found = [], 0
        for seed in track(range(n_runs if kind.startswith("w") else n_runs // 3), kind, transient=True):
            rng = np.random.default_rng([seed, len(kind)])
            counts = run_of(kind, rng)
            reasons.append(doubted(counts))
            first = int(rng.integers(2))
            n = (len(counts) - first) // 2 * 2
            counts[first : first + n] = (
                counts[first : first + n].reshape(-1, 2, SIDE, SIDE)[:, ::-1].reshape(n, SIDE, SIDE)
            )
            found += doubted(counts) is not None
        refused = [each for each in reasons if each]
        yield {
            "what": kind,
            "n": len(reasons),
            "refused": len(refused) / len(reasons),
            "of": interval(len(refused), len(reasons)),
            "exchanged, found": found / len(reasons),
            "why": "; ".join(sorted(set(refused)))[:120],
        }


def run_of(kind: str, rng: np.random.Generator) -> NDArray:
    """Draw a run: counts (T, ny, nx)."""
    if kind == "steady":
        n = int(rng.integers(120, 800))
        return counted(np.zeros(n), np.full(n, 1 / between(1, 40, rng)), rng)
    a_cycle = int(rng.integers(2, 33)) if kind.startswith("w") else between(2, 32, rng)
    phase = rng.random() + np.arange(int(60 * a_cycle)) / a_cycle
    strain, rate = np.sin(2 * np.pi * phase), np.ones(len(phase))
    shape = rng.integers(3)
    if shape == 1:  # rearrangements in one half of the cycle
        rate = 2.0 * ((phase + rng.random()) % 1 < 0.5)
    elif shape == 2:  # with the strain rate
        rate = np.abs(np.cos(2 * np.pi * phase)) * np.pi / 2
    return counted(between(0.3, 8, rng) * strain, rate / a_cycle / between(2, 60, rng), rng)


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
