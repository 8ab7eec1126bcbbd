"""Cyclic shear: echoes and training against the truth of simulated samples.

recovery   decay of the echoes, the share that returns for good, and training, in bins of 100 pixels of independent
           movies: the differences from the truth in the errors that the analysis gives
verdicts   p-values of ordinary cyclic dynamics, whose echoes return, decay or train, or which yield in mid-run, at one
           cycle or in a sweep of amplitudes; and of samples that return after 8 to 40 cycles or 2 to 6

The generator (`sim_devices._cycling`) moves scatterers and shares no code with the analysis.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from threadpoolctl import threadpool_limits

from ainerd.config import Settings
from ainerd_shear import EchoCurves, Echoes, fit_training
from ainerd_shear.part import judge_cycles
from ainerd_xpcs import Partition, fit_relaxation
from ainerd_xpcs.technique import RheoXPCS
from sim_devices import Cycled, Geometry, Oscillation, ScatteredMovie, frame_times
from studies._tools import Row, Study, interval, report

STEADY = Oscillation(frequency_hz=1.0, steps=((1.0, 0.1),))
PLACE = Geometry(shape=(40, 40), beam_center_px=(20.0, -42.0), q_range_inv_nm=(0.001, 0.05))
N_BINS, N_PIXELS = 16, 100
PHOTONS, CONTRAST = 5.0, 0.5
PROFILE = Path(__file__).parents[1] / "profiles" / "cycles" / "agent.toml"
PHASES = [0.25, 0.75]
KNOWN = ("returning", "decaying", "jumping", "training", "yielding", "sweeping")
ORBITS = {"long orbit": (8, 40), "short orbit": (2, 6)}  # cycles
RING, RING_Q = Geometry(shape=(40, 40), beam_center_px=(20.0, -42.0), q_range_inv_nm=(0.0262, 0.0298)), 0.028

study = Study(__doc__)


@study.part
def recovery(movies: int = 60) -> None:
    """Measure the pulls."""
    with threadpool_limits(1):
        rows = list(recovered(movies))
    report("cycles_recovery", rows, most={"sd of pulls": 1.2, "|mean|": 0.6}, least={"sd of pulls": 0.85, "share": 0.9})


@study.part
def verdicts() -> None:
    """Count p-values up to .05: false alarms, and samples with orbits that are found."""
    with threadpool_limits(1):
        rows = list(judged(50))
    report("cycles_verdicts", rows, most={"p <= .05": "most"}, least={"p <= .05": "least"})


def recovered(n_movies: int) -> Iterator[Row]:
    """Yield the pulls of each number."""
    pulls: dict[str, list[NDArray]] = {}
    for seed in track(range(n_movies), "movies", transient=True):
        for name, values in of_movies(seed).items():
            pulls.setdefault(name, []).append(np.atleast_1d(values))
    for name, each in pulls.items():
        pull = np.concatenate(each)
        known = pull[np.isfinite(pull)]
        yield {
            "what": name,
            "n": len(known),
            "share": len(known) / len(pull),
            "|mean|": abs(float(known.mean())),
            "sd of pulls": float(known.std(ddof=1)),
        }


def of_movies(seed: int) -> dict[str, NDArray]:
    """Return the pulls of one movie of each kind."""
    q, by_q, mixed = bins()
    out = {}
    flow = echoes(Cycled(family="decaying", oscillation=STEADY, diffusion_nm2=300.0), by_q, 150, seed)
    tau = 1 / (300.0 * q**2)
    out["tau"] = np.log(flow.decay.tau / tau) * flow.decay.tau / flow.decay.tau_err
    out["exponent"] = (flow.decay.exponent - 1) / flow.decay.exponent_err
    truth = np.exp(-2 * np.outer(1 / tau, flow.lag[:4]))
    out["height"] = ((flow.height[:, :4] - truth) / flow.height_err[:, :4])[:, ::3]
    some = echoes(Cycled(family="returning", oscillation=STEADY, jumping=0.25, returning=0.5), mixed, 200, seed + 1000)
    together = fit_relaxation(some.g2)
    out["share that returns"] = (together.static - 0.5) / together.static_err
    out = {name: values.ravel() for name, values in out.items()}
    trained = echoes(
        Cycled(family="training", oscillation=STEADY, diffusion_nm2=300.0, training=0.5), mixed, 150, seed + 2000
    )
    law = fit_training(trained.c2, cycles_a_row=trained.cycles_a_row)
    out["training"] = np.array([(law.exponent - 0.5) / law.exponent_err])
    return out


@cache
def bins() -> tuple[NDArray, Partition, Partition]:
    """Return q of bins of neighbouring q, their partition, and one whose bins all hold every q."""
    q = PLACE.q_inv_nm.ravel()
    order = np.argsort(q)
    labels = np.empty((2, q.size), int)
    labels[0, order], labels[1, order] = np.arange(q.size) // N_PIXELS + 1, np.arange(q.size) % N_BINS + 1
    of_bins = np.array([np.sqrt(np.mean(q[labels[0] == k + 1] ** 2)) for k in range(N_BINS)])
    by_q, mixed = (Partition.from_roi_map(each.reshape(PLACE.frame_shape)) for each in labels)
    return of_bins, by_q, mixed


def movie(sample: Cycled, t_s: NDArray, seed: int, place: Geometry = PLACE) -> NDArray:
    """Return counts of frames at these times, (T, ny, nx)."""
    rng = np.random.default_rng(seed)
    source = ScatteredMovie(sample, t_s, place, contrast=CONTRAST, rng=rng)
    frames = np.zeros((len(t_s), place.frame_shape[0] * place.frame_shape[1]), np.uint16)
    frames[:, place.ring] = rng.poisson(PHOTONS * np.concatenate(list(source.blocks())))
    return frames.reshape(-1, *place.frame_shape)


def echoes(sample: Cycled, partition: Partition, n_cycles: int, seed: int) -> EchoCurves:
    """Return the echoes of a frame a cycle."""
    t_s = frame_times(STEADY, n_cycles, [0.25], rng=np.random.default_rng(seed))
    correlator = Echoes(partition, [0.25])
    correlator.push(movie(sample, t_s, seed), STEADY.cycle(t_s))
    correlator.end()
    return correlator.result()


def judged(n_of_each: int, n_cycles: int = 128) -> Iterator[Row]:
    """Yield the share of p-values up to .05 of the ordinary kinds together, and of each kind."""
    technique = RheoXPCS.from_settings(Settings.load(PROFILE).section, PROFILE.parent)
    p_values: dict[str, list[float]] = {}
    draws = product(range(n_of_each), (*KNOWN, *ORBITS))
    for seed, (_, kind) in enumerate(track([*draws], "movies", transient=True)):
        rng = np.random.default_rng([seed, 9])
        sample = drawn(kind, n_cycles, rng)
        t_s = frame_times(sample.oscillation, n_cycles, PHASES, jitter=0.005, rng=rng)
        echoes = Echoes(technique.partition, PHASES, within=0.05)
        echoes.push(movie(sample, t_s, seed + 9000, RING), sample.oscillation.cycle(t_s))
        echoes.end()
        p = judge_cycles(technique, echoes.result(), 1.0, None).p
        if p is not None:  # otherwise the row counts fewer
            p_values.setdefault(kind, []).append(p)
    known = np.concatenate([p_values[kind] for kind in KNOWN])
    for kind, values in {"known": known, **p_values}.items():
        hits = int((np.asarray(values) <= 0.05).sum())
        yield {
            "what": kind,
            "n": len(values),
            "p <= .05": hits / len(values),
            "of": interval(hits, len(values)),
            "median": float(np.median(values)),
            "least": 0.9 if kind in ORBITS else 0.0,
            "most": 0.055 if kind == "known" else 1.0,
        }


def drawn(kind: str, n_cycles: int, rng: np.random.Generator) -> Cycled:
    """Draw a sample, and the amplitude at which it is sheared."""

    def per_cycle(least: float, most: float) -> float:
        """Draw D, so that echoes decay in so many cycles."""
        return 1 / (np.exp(rng.uniform(np.log(least), np.log(most))) * RING_Q**2)

    steps = ((1.0, float(rng.uniform(0.02, 0.2))),)
    options = {}
    if kind == "returning":
        options = {"returning": float(rng.uniform(0.2, 0.9)), "diffusion_nm2": per_cycle(2, 60)}
    elif kind == "decaying":
        options = {"diffusion_nm2": per_cycle(2, 300)}
    elif kind == "jumping":
        options = {"jumping": per_cycle(2, 300) * RING_Q**2, "jump_nm": float(rng.uniform(30, 300))}
    elif kind == "training":
        options = {"diffusion_nm2": per_cycle(2, 60), "training": float(rng.uniform(0.2, 1))}
    elif kind == "yielding":
        steps = ((float(rng.uniform(0.2, 0.8) * n_cycles), 0.05), (1.0, float(rng.uniform(0.13, 0.2))))
        options = {"diffusion_nm2": per_cycle(100, 600), "yield_strain": 0.1}
    elif kind == "sweeping":
        strains = np.geomspace(rng.uniform(0.03, 0.1), rng.uniform(0.12, 0.2), rng.integers(3, 9)).tolist()
        steps = tuple((n_cycles / len(strains), strain) for strain in strains)
        options = {"diffusion_nm2": per_cycle(100, 600), "yield_strain": 0.1}
    else:
        options = {"diffusion_nm2": per_cycle(100, 600), "orbit_nm": float(rng.uniform(30, 100))}
        options["orbit_cycles"] = float(rng.uniform(*ORBITS[kind]))
    return Cycled(family=kind, oscillation=Oscillation(frequency_hz=1.0, steps=steps), **options)


if __name__ == "__main__":
    study()
