"""Measure whether faults of the detector are taken for new physics, or change the numbers of a result.

Each of the faults in `studies._faulty_frames` is put into exposures of three kinds of dynamics, which the
technique analyses like a run. Tau and contrast of stationary exposures are known. No stretched exponential describes
the others exactly, so their numbers are compared with those of the same exposure without the fault. A number is right
if it is within three errors of the truth. A number that is missing counts as right.

novel           share of exposures that the fault makes novel
tau, contrast   share of numbers that are right
tau given       share of exposures with a tau, among those that have one without the fault
p given         share of exposures with a verdict
reason          of the first result without a verdict
"""

from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ainerd
from ainerd.technique import AnalysisError, RunInfo
from ainerd_xpcs.technique import RheoXPCS
from studies import _faulty_frames
from studies._faulty_frames import FAULTS, FRAMES, KINDS, MODES, PHOTONS, TAU, Exposure, ring
from studies._tools import Case, Row, Study, digest_of, report, resumed

BLOCK, FRAME_TIME_S, SURE = 50, 0.01, 3.0
KNOWN = {"tau_s": TAU * FRAMES * FRAME_TIME_S, "contrast": 1 / MODES}  # of stationary exposures
TENTH = [
    "10% copies", "10 % of the frames missing", "10 % of the frames missing, hidden", "burst of 40 missing, hidden",
    "10 % of the frames dark", "10 % of the pixels dead", "10 % of the pixels hot",
]  # fmt: skip

study = Study(__doc__)
exposure_of = lru_cache(1)(Exposure.drawn)


@study.part
def faults(exposures: int = 10, photons: float = PHOTONS, workers: int = 2) -> None:
    """Measure all faults."""
    names = [*FAULTS]
    cases = [(name, number) for number in range(exposures) for name in names]
    sources = digest_of(Path(ainerd.__file__).parent, Path(_faulty_frames.__file__))
    run = {"photons": photons, "sources": sources}
    rows = resumed("detector_faults", run, cases, partial(measured, photons), workers)
    row_of = dict(zip(cases, rows, strict=True))
    pairs = {name: [(row_of["nothing", n], row_of[name, n]) for n in range(exposures)] for name in names}
    spoilt = [pair for name in names if name != "nothing" for pair in pairs[name]]
    rows = [judged(name, pairs[name]) for name in names]
    report("detector_faults", rows, most={"novel": 0}, least={"tau": 0.7, "contrast": 0.9}, **run, exposures=exposures)
    tenth = [pair for name in TENTH for pair in pairs[name]]
    print(" ".join(f"{key} {value:.3f}" for key, value in judged("all", spoilt).items() if isinstance(value, float)))
    print(f"a tenth of copies, gaps, bad pixels, dark or lost frames: tau given {judged('', tenth)['tau given']:.3f}")


def measured(photons: float, case: Case) -> Row:
    """Return the verdict and the numbers of an exposure with a fault."""
    name, number = case
    kind = [*KINDS][number % len(KINDS)]
    exposure = exposure_of(kind, number, photons)
    exposure = replace(exposure, counts=exposure.counts.copy())
    return {"kind": kind} | analysed(FAULTS[name](exposure, np.random.default_rng([number, *name.encode()])))


def analysed(counts: NDArray) -> Row:
    """Return the verdict and the numbers of frames; masked ones are missing."""
    technique = RheoXPCS(ring())
    info = RunInfo(raw_uid="x", n_frames=FRAMES, frame_shape=counts.shape[1:], frame_time_s=FRAME_TIME_S)
    run, flat = technique.begin(info), counts.reshape(len(counts), -1)
    try:
        missing = np.ma.getmaskarray(flat)[:, 0]
        edges = np.union1d(range(0, len(flat) + 1, BLOCK), 1 + np.flatnonzero(np.diff(missing)))
        for start, stop in pairwise(edges):
            if not missing[start]:
                run.push(np.asarray(flat[start:stop, run.pixels]), start)
        if len(flat) < FRAMES:
            run.lost(FRAMES - len(flat))  # the run ended well
        result = run.finish()
    except AnalysisError as error:
        return {"failed": str(error)}
    names = ("tau_s", "tau_s_err", "contrast", "contrast_err", "no_claim", "frames_left_out", "pixels_left_out")
    numbers = {key: result.summary.get(key) for key in names}
    return {"failed": None, "p": result.novelty_p, **numbers}


def judged(name: str, pairs: list[tuple[Row, Row]]) -> Row:
    """Return the row of a fault from pairs of results, without and with the fault."""
    before, after = ([is_novel(row) for row in rows] for rows in zip(*pairs, strict=True))
    has_tau = [(clean, row) for clean, row in pairs if clean.get("tau_s") is not None]
    reasons = [row["failed"] or row["no_claim"] for _, row in pairs if row["failed"] or row["no_claim"]]
    return {
        "fault": name,
        "novel": sum(bool(now) and not then for now, then in zip(after, before, strict=True)) / len(pairs),
        "tau": np.mean([is_right(row, clean, "tau_s") for clean, row in pairs]),
        "contrast": np.mean([is_right(row, clean, "contrast") for clean, row in pairs]),
        "tau given": np.mean([row.get("tau_s") is not None for _, row in has_tau]) if has_tau else np.nan,
        "p given": np.mean([row.get("p") is not None for _, row in pairs]),
        "reason": reasons[0][:40] if reasons else "",
    }


def is_novel(row: Row) -> bool | None:
    """Return whether a result is novel, or None if it has no p-value."""
    return None if row.get("p") is None else row["p"] <= 0.05


def is_right(row: Row, clean: Row, name: str) -> bool:
    """Return whether a number is within three errors of the truth, or missing in the row or the clean exposure."""
    if clean["kind"] == "stationary":
        truth, error = KNOWN[name], 0.0
    else:
        truth, error = clean.get(name), clean.get(f"{name}_err") or 0.0
    if row.get(name) is None or truth is None:
        return True
    return bool(abs(row[name] - truth) <= SURE * np.hypot(row[f"{name}_err"] or 0.0, error))


if __name__ == "__main__":
    study()
