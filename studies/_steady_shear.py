"""Shear rates of steady flows against the truth, for ``python -m studies.cycles shear``."""

import numpy as np
from rich.progress import track

from ainerd_xpcs import G2, MultiTau, Partition, ShearRate, fit_shear_rate
from ainerd_xpcs.numerics._shear_rate import WRONG_FLOW
from sim_devices import Geometry, ScatteredMovie, SteadyShear
from studies._tools import Row

PLACE = Geometry(shape=(40, 80), beam_center_px=(0.0, 40.0), q_range_inv_nm=(0.0115, 0.015))
Q, N_BINS, N_PIXELS = 0.0135, 6, 100
PHOTONS, CONTRAST = 5.0, 0.5
FRAME_S, N_WINDOWS, N_FRAMES = 0.01, 4, 100  # frames of a window
DIFFUSION = 18_000.0  # the relaxation time is 0.3 s
STEP = ((1.999, 0.8), (2.0, 2.0))
CHANGES = {
    "step": SteadyShear(rates=STEP, diffusion_nm2=DIFFUSION),
    "ramp": SteadyShear(rates=((0.0, 0.8), (4.0, 2.8)), diffusion_nm2=DIFFUSION),
    "step, crossing the beam": SteadyShear(rates=STEP, diffusion_nm2=DIFFUSION, velocity=20_000.0),  # in 0.5 s
}
WRONG = (20.0, 45.0, 90.0)  # degrees from the flow
SLOW = 0.05  # 1/s


def shear_rates(n_movies: int) -> list[Row]:
    """Return the pulls of the rates of all windows of movies whose rate changes."""
    rows = []
    for number, (name, sample) in enumerate(CHANGES.items()):
        truth = sample.rate((np.arange(N_WINDOWS) + 0.5) * N_FRAMES * FRAME_S)
        seen = [fitted(windows(sample, [number, seed])) for seed in track(range(n_movies), name, transient=True)]
        pulls = np.array([(each.rate - truth) / each.rate_err for each in seen])
        known = pulls[np.isfinite(pulls)]
        rows.append(
            {
                "rate": name,
                "n": known.size,
                "share": known.size / pulls.size,
                "|mean|": abs(float(known.mean())),
                "sd of pulls": float(known.std(ddof=1)),
                "relative error": float(np.nanmedian([each.rate_err / each.rate for each in seen])),
            }
        )
    return rows


def bounds(n_movies: int) -> Row:
    """Return the share of bounds that are above a rate too small to be seen."""
    sample = SteadyShear(rates=((0.0, SLOW),), diffusion_nm2=DIFFUSION)
    seen = [fitted(windows(sample, [2, seed])) for seed in track(range(n_movies), "slow", transient=True)]
    bound = np.concatenate([each.bound for each in seen])
    return {
        "rate": SLOW,
        "n": bound.size,
        "determined": float(np.isnan(bound).mean()),
        "bound is above": float((bound > SLOW).mean()),
        "median bound": float(np.nanmedian(bound)),
    }


def wrong_directions(n_movies: int) -> list[Row]:
    """Return the share of windows that are refused if the direction of the flow is not that of the sample."""
    curves = [windows(CHANGES["step"], [0, seed]) for seed in track(range(n_movies), "movies", transient=True)]
    rows = []
    for off in WRONG:
        seen = [fitted(each, off) for each in track(curves, f"off by {off:g}", transient=True)]
        refused = np.array([reason == WRONG_FLOW for each in seen for reason in each.reason])
        rows.append({"off (deg)": off, "n": refused.size, "refused": float(refused.mean())})
    return rows


def windows(sample: SteadyShear, seed: list[int]) -> list[G2]:
    """Return g2 in the windows of a movie of Poisson counts."""
    rng, bins = np.random.default_rng([*seed, 58]), partition()
    t_s = np.arange(N_WINDOWS * N_FRAMES) * FRAME_S
    movie = ScatteredMovie(sample, t_s, PLACE, contrast=CONTRAST, rng=rng)
    counts = np.zeros((t_s.size, PLACE.q_inv_nm.size), np.uint16)
    counts[:, PLACE.ring] = rng.poisson(PHOTONS * np.concatenate(list(movie.blocks())))
    curves = []
    for window in np.split(counts.reshape(-1, *PLACE.frame_shape), N_WINDOWS):
        correlator = MultiTau(bins)
        correlator.push(window)
        curves.append(correlator.result())
    return curves


def fitted(curves: list[G2], off_deg: float = 0.0) -> ShearRate:
    """Return the shear rate in windows, with a direction that is off by some degrees."""
    flow = CHANGES["step"]
    q_flow = PLACE.q_inv_nm * np.cos(np.deg2rad(PLACE.phi_deg - flow.direction_deg - off_deg))
    return fit_shear_rate(curves, FRAME_S, partition(), q_flow, flow.gap_nm)


def partition() -> Partition:
    """Return bins of 30 degrees with the 100 pixels each that are closest to the ring."""
    sector = ((PLACE.phi_deg - 75) % 180 // 30).astype(int).ravel()
    near = np.argsort(np.abs(PLACE.q_inv_nm.ravel() - Q))
    labels = np.zeros(sector.size, int)
    for k in range(N_BINS):
        labels[near[sector[near] == k][:N_PIXELS]] = k + 1
    return Partition.from_roi_map(labels.reshape(PLACE.frame_shape), phi=90 + 30.0 * np.arange(N_BINS))
