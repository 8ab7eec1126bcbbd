"""Whether the novelty claim keeps its promise: false alarms and power, on dynamics and noise of the study itself.

Nothing that is judged comes from `ainerd_xpcs.dynamics`: correlations, speckle and noise are in `studies._exposures`.
Intervals are 95 %, of Clopper and Pearson. ``--quick`` takes a tenth of everything.

fragile      known dynamics on an instrument that differs from the agent's settings
detectors    plain relaxation and ageing on any detector: maps for combinations of frames, pixels, contrast and photons
             per pixel and frame, in an order that spreads the first of them over all; it goes on where it was stopped
maps         ordinary and new dynamics from frames, and from the maps that boost_corr and pychx make of the same frames;
             it goes on where it was stopped
slip         the word for exposures of one jump, of avalanches, and of a speed-up that runs away
seen         ordinary dynamics, and bands, convection, two steps, gelation, bursts, half a ring that is slower and more,
             from frames with the photons of the demo; it goes on where it was stopped
power        known dynamics of many parameters at .05, and dynamics that the bank does not contain, at .01; it goes on
             where it was stopped
"""

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.stats import binomtest

from ainerd.novelty import NoveltyScorer
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.technique import (
    RANKED,
    RESIDUALS,
    TERMS,
    WEIGHTS,
    Bank,
    Cells,
    RheoXPCS,
    judge,
    noise_by_lag,
    pooled_contrast,
    run_features,
)
from studies import _exposures as synthetic
from studies import _other_programs
from studies._exposures import USUAL, Instrument, Squared, bins, maps, ordinary
from studies._tools import Case, Row, Study, digest_of, interval, report, resumed

RUN = {"n_frames": 1.0, "counts": USUAL.photons, "n_pixels": 570.0}  # statistics of a usual run
FRAMES, PIXELS = (64, 80, 96, 100, 150, 250, 1000, 5000), (60, 600, 6000, 60000)
CONTRASTS, PHOTONS = (0.05, 0.2, 1.0), (0.05, 1.0, 20.0)
EACH = 20  # exposures on a detector
SEEN: dict[str, tuple[tuple[int, ...], float, int]] = {  # pixels of bins, photons per pixel, frames
    "6 bins of 600 px, 500 photons": ((600,) * 6, 450.0, 256),
    "a bin of 3000 px, 50 photons": ((3000,), 45.0, 300),
    "6 bins of 600 px, 10000 photons": ((600,) * 6, 9000.0, 256),
}
OF_MAPS = {"ordinary": synthetic.ordinary, "stick-slip": synthetic.stick_slip, "cooperative": synthetic.cooperative}
NEW_OF_MAPS = ("echo", "moving front", "crystallisation", "stop-and-go", "rate oscillation", "ballistic")
DEMO_PHOTONS = 250.0  # per pixel
AT_ONCE = 10  # exposures of a kind
CHUNK = 40  # exposures of a kind that are drawn at a time
LEAST = {"ballistic": 0.85, "banded": 0.55, "rate oscillation": 0.95}  # power that is wanted
LEAST |= dict.fromkeys(("echo", "LAOS", "moving front", "crystallisation", "stop-and-go"), 1.0)

# Pixels of a bin in `seen`, and frames; the power at .05 that is wanted there; ordinary kinds together, and the worst
SEEN_PIXELS, SHORT = (300, 570), 128
TO_SEE = dict.fromkeys(("bands of the demo", "banded", "bands with profiles", "convection"), 0.8)
TO_SEE |= {"two steps": 0.8} | dict.fromkeys(("gelation", "burst", "half a ring"), 0.75) | {"avalanches": np.nan}
TO_SEE |= dict.fromkeys(("moving front", "LAOS", "echo", "stop-and-go", "rate oscillation"), 0.95)
OF_PLAIN, OF_ONE_KIND = 0.05, 0.08

study = Study(__doc__)


@study.part
def fragile(quick: bool = False, seed: int = 0) -> None:
    """Measure false alarms where the instrument differs from the settings."""
    share, rows = 10 if quick else 1, list[Row]()
    quarter = {"n_pixels": (570,) * 9, "phi_deg": tuple(np.arange(5.0, 95.0, 10.0)), "width_deg": 10.0}
    cases: dict[str, Instrument] = {
        **{f"given β .20, true {b:g}": replace(USUAL, contrast=b) for b in (0.14, 0.17, 0.23, 0.26)},
        "speckle of 2 px": replace(USUAL, speckle_px=2.0),
        "error of moments .5 %": replace(USUAL, flicker=0.005),
        "error of moments 1 %": replace(USUAL, flicker=0.01),
        "6 of 18 bins of 90 px": replace(USUAL, n_pixels=tuple(90 if k % 3 == 1 else 570 for k in range(18))),
        "flow, 9 bins in a quarter circle": replace(USUAL, **quarter),
        "flow, full circle": USUAL,
    }
    for (name, instrument), own in zip(cases.items(), np.random.default_rng(seed).spawn(len(cases)), strict=True):
        isotropic = not name.startswith("flow")
        p_of = as_seen(own, instrument)
        p = [
            p_of(ordinary(own) if isotropic else synthetic.flow(own), isotropic)
            for _ in track(range((400 if isotropic else 200) // share), name)
        ]
        rows.append(alarms(name, np.array(p), 0.07))
    report("novelty_fragile", rows, least={"reached": 1}, bank=Bank.load().id, quick=quick, seed=seed)


@study.part
def detectors(combinations: int = 288, quick: bool = False, workers: int = 1) -> None:
    """Measure false alarms for so many combinations of frames, pixels, contrast and photons; ``--quick`` takes 12."""
    every = np.random.default_rng(0).permutation(np.array([*product(FRAMES, PIXELS, CONTRASTS, PHOTONS)])).tolist()
    cases = [(json.dumps(each), 0) for each in every[: 12 if quick else combinations]]
    rows = resumed("novelty_detectors", sources(), cases, detector, workers)
    judged = [row for row in rows if row["n"]]
    hits, n = (sum(row[name] for row in judged) for name in ("flagged", "n"))
    p = np.sort([binomtest(row["flagged"], row["n"], 0.05, "greater").pvalue for row in judged])
    holm = np.maximum.accumulate(p * np.arange(len(p), 0, -1))
    what = f"{hits} of {n} flagged in {len(judged)} of {len(rows)} combinations"
    rows = [{"what": what, "flagged": hits / n, "at most": 0.055}]
    rows.append({"what": "combinations above .05 (Holm)", "flagged": float((holm <= 0.05).sum()), "at most": 0.0})
    for key, values in (("frames", FRAMES), ("pixels", PIXELS), ("contrast", CONTRASTS), ("photons", PHOTONS)):
        for value in values:
            some = [row for row in judged if row[key] == value]
            share = sum(row["flagged"] for row in some) / max(sum(row["n"] for row in some), 1)
            rows.append({"what": f"{key} {value:g}", "flagged": share, "at most": np.nan})
    report("novelty_detectors", rows, most={"flagged": "at most"}, quick=quick)


def detector(case: Case) -> Row:
    """Judge ordinary exposures on one detector."""
    n_frames, n_pixels, beta, photons = json.loads(case[0])
    n_frames, n_pixels = int(n_frames), int(n_pixels)
    rng = np.random.default_rng([n_frames, n_pixels, int(100 * beta), int(100 * photons)])
    seen = Instrument(beta, photons * n_frames, (n_pixels,) * 6, tuple(np.arange(30.0, 390.0, 60.0)), 60.0)
    seen = replace(seen, n_frames=n_frames if n_frames < 256 else 0)
    technique, p = RheoXPCS(bins(seen.n_pixels, seen.phi_deg)), []
    for _ in range(EACH):
        run = maps(ordinary(rng), replace(seen, duty=rng.choice([0.0, 0.5, 1.0])), rng, isotropic=True)
        given = beta * (1 + 0.05 * rng.standard_normal()), 0.05
        enlarged, per_pixel = np.repeat(np.repeat(run, 4, 1), 4, 2), np.full(6, seen.photons)
        cells = Cells.of_whole(n_frames)
        p.append(judge(technique, enlarged, per_pixel, [given], cells=cells).p)
    known = [x for x in p if x is not None]
    flagged = sum(x <= 0.05 for x in known)
    names = {"frames": n_frames, "pixels": n_pixels, "contrast": beta, "photons": photons}
    return {**names, "n": len(known), "flagged": flagged, "p": known}


@study.part
def maps_(each: int = 30, known: int = 100, quick: bool = False, workers: int = 1) -> None:
    """Measure so many exposures of each new kind, and of ordinary ones, on each instrument; ``--quick`` takes ten."""
    cases = []
    for kind in (*OF_MAPS, *NEW_OF_MAPS):
        for seen in SEEN:
            n = AT_ONCE if quick else known if kind == "ordinary" else each
            cases += [(json.dumps([seen, kind]), i) for i in range(-(-n // AT_ONCE))]
    run = sources() | {"maps": digest_of(Path(_other_programs.__file__))}
    rows, table = resumed("novelty_maps", run, cases, seen_by_all, workers), []
    ways = ("frames", *_other_programs.PROGRAMS)

    def flagged(way: str, kinds: Collection[str], seen: str = "") -> NDArray[np.float64]:
        some = [row[way] for row in rows if row["kind"] in kinds and seen in row["seen"]]
        return np.concatenate(some).astype(float)

    every = [
        ("ordinary", ("ordinary",), 0.055),
        ("known, all", tuple(OF_MAPS), 0.08),
        ("new, all", NEW_OF_MAPS, np.nan),
    ]
    every += [(kind, (kind,), np.nan) for kind in (*OF_MAPS, *NEW_OF_MAPS)]
    for what, kinds, most in every:
        for seen in ("", *SEEN) if len(kinds) > 1 or most == most else ("",):
            p = {way: flagged(way, kinds, seen) for way in ways}
            share = {way: float((x[np.isfinite(x)] <= 0.05).mean()) for way, x in p.items()}
            row: Row = {"what": f"{what}: {seen or 'all'}"}
            for way, x in p.items():
                hits, n = int((x <= 0.05).sum()), int(np.isfinite(x).sum())
                row[way] = f"{share[way]:.3f} {interval(hits, n)} of {n}/{x.size}"
            wanted = not seen and (most == most or what.startswith("new"))
            others = [share[way] for way in _other_programs.PROGRAMS]
            good = max(others) <= most if most == most else min(others) >= share["frames"] - 0.1
            table.append({**row, "reached": ("yes" if good else "no") if wanted else "–"})
    report("novelty_maps", table, least={"reached": 1}, quick=quick)


def seen_by_all(case: Case) -> Row:
    """Return p-values of exposures of one kind from frames, and from maps of each program; NaN without one."""
    seen, kind = json.loads(case[0])
    pixels, photons, n_frames = SEEN[seen]
    rng = np.random.default_rng([case[1], *seen.encode(), *kind.encode()])
    drawn = OF_MAPS[kind] if kind in OF_MAPS else synthetic.NEW[kind]
    technique = RheoXPCS(bins(pixels, tuple((np.arange(len(pixels)) + 0.5) * 360 / len(pixels))))
    row: Row = {"seen": seen, "kind": kind}
    for _ in range(AT_ONCE):
        shape = technique.partition.shape
        counts = synthetic.frames(drawn(rng), n_frames, shape, rng, photons=photons, modes=5)
        of = {"frames": synthetic.analysed(technique, counts)}
        of |= {name: _other_programs.analysed(name, counts, technique.partition) for name in _other_programs.PROGRAMS}
        for way, analysis in of.items():
            row.setdefault(way, []).append(np.nan if analysis.novelty_p is None else float(analysis.novelty_p))
            row.setdefault(f"{way}, no_claim", []).append(analysis.summary["no_claim"])
    return row


@study.part
def slip() -> None:
    """Measure which word shows slip and failure, which are ordinary: three exposures each of 8 bins of 400 pixels."""
    technique, rows = RheoXPCS(bins((400,) * 8, tuple(np.arange(8) * 45.0))), list[Row]()
    kinds = {"jumps": jump, "in bursts": synthetic.stick_slip, "speeds up": run_away}
    for word, draw in kinds.items():
        for seed in range(3):
            rng = np.random.default_rng(seed)
            counts = synthetic.frames(draw(rng), 400, technique.partition.shape, rng, photons=500.0, modes=5)
            analysis = synthetic.analysed(technique, counts)
            found, by = (analysis.summary.get(name) for name in ("dynamics", "slows_by"))
            row = {"kind": word, "seed": seed, "p": analysis.novelty_p, "dynamics": found}
            rows.append({**row, "slows by": np.nan if by is None else by, "right": float(found == word)})
    report("novelty_slip", rows, least={"right": 1, "p": 0.05})


def demo_bands(rng: np.random.Generator, slow: float) -> Squared:
    """Bands as in the sample `bands` of the demo, of which the slow one has a share `slow` of the velocity."""
    fast, tau = 8 + 1.5 * rng.uniform(-1, 1), 0.8 * (1 + 0.25 * rng.uniform(-1, 1))
    return synthetic.two_bands(fast, slow * fast, 0.5, 0.0, rng.uniform(0, 180), tau)


def jump(rng: np.random.Generator) -> Squared:
    """One jump, of which a share up to a fifth of the correlation is left, in a sample at rest."""
    at, left, tau = rng.uniform(0.3, 0.7), rng.uniform(0, 0.2), rng.uniform(3, 3.0001)
    rest = synthetic.plain(tau, 1.0)
    return lambda t, phi: np.where((t[:, None] < at) == (t < at), 1, left) * rest(t, phi)


def run_away(rng: np.random.Generator) -> Squared:
    """A rate that goes to infinity just after the exposure."""
    tau = rng.uniform(1, 2)
    return synthetic.relaxing(lambda t: 1 / (tau * (1.02 - t)))


@study.part
def power(each: int = 400, q_spread: float = 0.0, quick: bool = False, seed: int = 0, workers: int = 1) -> None:
    """Measure false alarms at .05 on known dynamics of many parameters, and power at .01; ``--quick`` takes 40 each.

    q of a bin is even from 1 - `q_spread` to 1 + `q_spread` of its mean.
    """
    chunks = range(seed, seed + (1 if quick else -(-each // CHUNK)))
    kinds = [*synthetic.KNOWN, *synthetic.NEW]
    run, cases = sources() | {"q_spread": q_spread}, [(kind, i) for i in chunks for kind in kinds]
    rows = resumed("novelty_power", run, cases, partial(chunk, q_spread), workers)
    p = {kind: np.concatenate([row["p"] for row in rows if row["kind"] == kind]) for kind in kinds}
    table = [alarms(kind, p[kind], most) for kind, (_, most) in synthetic.KNOWN.items()]
    for kind in synthetic.NEW:
        hit, least = p[kind] <= 0.01, LEAST.get(kind)
        shares = {"flagged at .05": "", "at .01": f"{hit.mean():.3f} {interval(int(hit.sum()), hit.size)}"}
        reached = "–" if least is None else "yes" if hit.mean() >= least else "no"
        wanted = "–" if least is None else f"≥ {least:g}"
        table.append({"what": f"new: {kind}", "n": hit.size, **shares, "wanted": wanted, "reached": reached})
    report("novelty_power", table, least={"reached": 1}, bank=Bank.load().id, seed=seed, q_spread=q_spread)


@study.part
def seen(each: int = 40, quick: bool = False, seed: int = 0, workers: int = 1) -> None:
    """Measure so many exposures of each kind with the photons of the demo; ``--quick`` takes ten."""
    chunks = range(seed, seed + (1 if quick else -(-each // AT_ONCE)))
    kinds = [*synthetic.PLAIN, *TO_SEE]
    cases = [(json.dumps([pixels, kind]), i) for i in chunks for pixels in SEEN_PIXELS for kind in kinds]
    rows, table = resumed("novelty_seen", sources(), cases, seen_chunk, workers), list[Row]()
    for pixels in SEEN_PIXELS:
        of: dict[str, NDArray[np.float64]] = {}
        for kind in kinds:
            some = [row["p"] for row in rows if row["pixels"] == pixels and row["kind"] == kind]
            of[kind] = np.concatenate(some)
        of["plain"] = np.concatenate([of[kind] for kind in synthetic.PLAIN])
        for kind in ("plain", *kinds):
            p, least = of[kind][np.isfinite(of[kind])], TO_SEE.get(kind, np.nan)
            least = 0.9 if kind == "two steps" and pixels == 570 else least
            most = OF_PLAIN if kind == "plain" else OF_ONE_KIND if kind in synthetic.PLAIN else np.nan
            share, hits = (p <= 0.05).mean(), int((p <= 0.05).sum())
            good = "–" if least != least and most != most else "no" if share < least or share > most else "yes"
            row: Row = {
                "what": f"{pixels} px, {kind}",
                "n": p.size,
                "without p": int(np.isnan(of[kind]).sum()),
            }
            row |= {"flagged at .05": f"{share:.3f} {interval(hits, p.size)}", "at .01": (p <= 0.01).mean()}
            table.append(row | {"wanted": f"≥ {least:g}" if least == least else f"≤ {most:g}", "reached": good})
    report("novelty_seen", table, least={"reached": 1}, bank=Bank.load().id, quick=quick, seed=seed)


def seen_chunk(case: Case) -> Row:
    """Judge frames of one kind."""
    pixels, kind = json.loads(case[0])
    rng = np.random.default_rng([11, case[1], pixels, *kind.encode()])
    drawn = {"bands of the demo": partial(demo_bands, slow=0.4)} | synthetic.PLAIN | synthetic.SEEN | synthetic.NEW
    instrument = replace(USUAL, photons=DEMO_PHOTONS, n_pixels=(pixels,) * len(USUAL.phi_deg))
    technique, p = of_bins(pixels), list[float]()
    for _ in range(AT_ONCE):
        counts = np.zeros((SHORT, technique.partition.roi_map.size), np.uint16)
        of_pixels = synthetic.frames_of_bins(drawn[kind](rng), instrument, SHORT, rng)
        counts[:, : of_pixels.shape[1]] = of_pixels  # strips of bins, one after the other
        judged = synthetic.analysed(technique, counts)
        p.append(np.nan if judged.novelty_p is None else judged.novelty_p)
    return {"pixels": pixels, "kind": kind, "p": p}


@cache
def of_bins(pixels: int) -> RheoXPCS:
    """Return a technique for the usual bins with so many pixels."""
    return RheoXPCS(bins((pixels,) * len(USUAL.phi_deg), USUAL.phi_deg), contrast=USUAL.contrast)


def chunk(q_spread: float, case: Case) -> Row:
    """Judge exposures of one kind of dynamics on the usual instrument."""
    kind, i = case
    rng = np.random.default_rng([i, *kind.encode()])
    drawn = synthetic.NEW[kind] if kind in synthetic.NEW else synthetic.KNOWN[kind][0]
    usual = replace(USUAL, q_spread=q_spread)
    runs = [maps(drawn(rng), usual, rng, isotropic=kind not in synthetic.AZIMUTHAL) for _ in range(CHUNK)]
    seen = np.array([run_features(Encoder.load(), run, **RUN) for run in runs])
    return {"kind": kind, "p": usual_scorer(q_spread).p_values(seen).tolist()}


def sources() -> Row:
    """Return the digest of the code that a p-value depends on."""
    here = Path(__file__).parent
    rooms = [here.parent / "src" / name for name in ("ainerd_xpcs", "ainerd/novelty")]
    return {"code": digest_of(*rooms, here / "novelty.py", here / "_exposures.py")}


@cache
def usual_scorer(q_spread: float = 0.0) -> NoveltyScorer:
    """Return a scorer that expects the usual instrument."""
    bank = Bank.load()
    options = {"contrast": USUAL.contrast, "q_spread": q_spread, "n_ranked": RANKED}
    features = bank.features(Encoder.load(), **options, **RUN)
    return NoveltyScorer(terms=TERMS, residuals=RESIDUALS, weights=WEIGHTS).fit(features, bank.families)


def as_seen(rng: np.random.Generator, instrument: Instrument) -> Callable[[Squared, bool], float]:
    """Return the technique's own judge, with a set contrast of .2, which uses contrast and speckle of each run.

    A run shows the true contrast with an error of 4 %, and the size of speckle with one of 10 %, drawn once a judge.
    """
    technique = RheoXPCS(bins(instrument.n_pixels, instrument.phi_deg), contrast=0.2)
    beta = instrument.contrast * (1 + 0.04 * rng.standard_normal())
    size = instrument.speckle_px * (1 + 0.1 * rng.standard_normal() * (instrument.speckle_px > 1))
    contrast = pooled_contrast((beta, 0.04 * beta), technique.contrast)
    photons = np.full(len(instrument.n_pixels), instrument.photons)

    def p_value(drawn: Squared, isotropic: bool) -> float:
        run = maps(drawn, instrument, rng, isotropic=isotropic)
        shot = np.float32(synthetic.SIZE / instrument.photons) * np.eye(synthetic.SIZE, dtype=np.float32)
        of_pixels = noise_by_lag(run - 1 + shot)  # these pixels are Gaussian
        whole = np.repeat(np.repeat(run, 4, 1), 4, 2)
        judged = judge(technique, whole, photons, [contrast], max(size, 1.0), lambda some: of_pixels[some])
        assert judged.p is not None
        return judged.p

    return p_value


def alarms(what: str, p: NDArray[np.float64], most: float) -> Row:
    """Return the share of p at most .05, with its interval."""
    hit = int((p <= 0.05).sum())
    share = hit / p.size if p.size else np.nan
    return {
        "what": what,
        "n": int(p.size),
        "flagged at .05": f"{share:.3f} {interval(hit, p.size)}",
        "at .01": f"{(p <= 0.01).mean() if p.size else np.nan:.3f}",
        "wanted": f"≤ {most:g}",
        "reached": "yes" if share <= most else "no",
    }


if __name__ == "__main__":
    study()
