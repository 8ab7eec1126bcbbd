"""Whether the simulated frames agree with theory, and how long they take.

For each regime, movies of the ring are drawn from many seeds, counted at two levels, and reduced to the two-time maps
of 18 bins. C2, in cells without a frame paired with itself, is compared with `Bench.expected`, for maps normalised by
each frame's mean. Every standard error comes from the scatter between the seeds: nothing is assumed white. tau is
that of the mean g2 over seeds and bins, the velocity a mean over seeds.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from threadpoolctl import threadpool_limits

from ainerd.dynamics import Dynamics, g1_squared
from ainerd.xpcs import MultiTau, Partition, TwoTimeReducer, fit_flow, fit_kww
from sim_devices import FrameMaker, Geometry, Grain, SpeckleMovie, mode_weights
from studies._movies import write_exposure
from studies._tools import Row, Study, report

DURATION_S, CONTRAST, SIZE, LEVELS = 50.0, 0.2, 256, (0.05, 0.5)
TURN = 2 * np.pi / DURATION_S
REGIMES = {
    "exponent 0.5": Dynamics(family="fluid", tau_s=2.0, exponent=0.5),
    "exponent 1": Dynamics(family="fluid", tau_s=1.5),
    "exponent 1.7": Dynamics(family="slow", tau_s=6.0, exponent=1.7),
    "ageing": Dynamics(family="ageing", tau_s=1.5, ageing=1.1, ageing_onset_s=7.5, age_s=3.0),
    "avalanche": Dynamics(
        family="avalanche", tau_s=200.0, exponent=1.2, events=((9.0, 1.1), (21.5, 0.8), (22.6, 1.9), (41.0, 1.3))
    ),
    "arrested": Dynamics(family="arrested", tau_s=4.0, plateau=0.7),
    "flow": Dynamics(family="flow", tau_s=40.0, static=0.45, flow_rad_s=6.5 * TURN),
    "banded": Dynamics(
        family="banded",
        tau_s=30.0,
        flow_rad_s=2 * TURN,
        second=Dynamics(family="flow", tau_s=30.0, flow_rad_s=8 * TURN),
        second_share=0.4,
    ),
    "echo": Dynamics(family="echo", tau_s=100.0, exponent=2.0, echo=(1.2, 0.12)),
    "anisotropic": Dynamics(family="fluid", tau_s=4.0, exponent=1.2, anisotropy=0.3, anisotropy_deg=25.0),
}


study = Study(__doc__)


@study.part
def instrument(frames: int = 1000, seeds: int = 10) -> None:
    """Draw movies of `frames` in 50 s from `seeds`."""
    with threadpool_limits(1, "blas"):
        bench = Bench(frames)
        rows = [row for name in track(REGIMES, description="regimes") for row in bench.rows(name, seeds)]
    report("instrument", rows, frames=frames, seeds=seeds, contrast=CONTRAST)
    report("instrument_speed", [speed(level) for level in LEVELS])


class Bench:
    """The detector, its partition, and the times of the frames.

    Parameters
    ----------
    frames : int
        Of each movie.
    """

    def __init__(self, frames: int) -> None:
        geometry = Geometry(bad_share=3e-4)
        self.partition = Partition.annular(
            detector=geometry.detector,
            beam_center_px=geometry.beam_center_px,
            distance_m=geometry.distance_m,
            energy_keV=geometry.energy_keV,
            q_range_inv_nm=geometry.q_range_inv_nm,
            n_phi=18,
            mask=geometry.bad_pixels,
        )
        self.maker = FrameMaker(geometry)
        self.grain = Grain(geometry.ring, geometry.frame_shape, (0.8, 0.8))
        self.columns = np.searchsorted(geometry.ring, self.partition.pixels)  # of the partition among the ring's pixels
        self.phi = geometry.phi_deg.ravel()
        self.mean = geometry.profile.ravel()[self.partition.pixels]
        self.frame_s = DURATION_S / frames
        self.times = (np.arange(frames) + 0.5) * self.frame_s

    def movies(self, dynamics: Dynamics, seed: tuple[int, int]) -> Iterator[tuple[float, NDArray, float]]:
        """Yield each level, counts (T, n_pixels) of the partition at it, and their variance over that of Poisson."""
        rng, phi = np.random.default_rng(seed), self.phi[self.maker.ring]
        movie = SpeckleMovie(dynamics, self.times, phi, contrast=CONTRAST, rng=rng, grain=self.grain)
        intensity = np.concatenate(list(movie.blocks()))
        for level in LEVELS:
            levels = np.full(len(intensity), level)
            counts = self.maker.count(intensity, levels, self.frame_s, rng)[:, self.columns]
            expected = level * self.mean * intensity[:, self.columns]
            yield level, counts, float(((counts - expected) ** 2).sum() / expected.sum())

    def truth(self, dynamics: Dynamics, operator: Any) -> NDArray:
        """Return |g1|² averaged over each bin's azimuths and each cell of a map, (18, size, size)."""
        bins = np.split(self.phi[self.partition.pixels], np.cumsum(self.partition.n_pixels)[:-1])
        across, truth = np.linspace(0, 1, 41)[1::2], []
        for phi in bins[:1] if dynamics.is_isotropic else bins:
            squared = [g1_squared(dynamics, self.times, azimuth)[0] for azimuth in np.quantile(phi, across)]
            truth.append(operator @ np.mean(squared, axis=0) @ operator.T)
        return np.broadcast_to(truth, (len(bins), SIZE, SIZE))

    def expected(self, truth: NDArray) -> tuple[NDArray, NDArray]:
        """Return maps of ΣI₁I₂ N / (ΣI₁ ΣI₂), and the factor of 1 + contrast |g1|² in them, (18, 1, 1).

        Pixels whose means are w times that of their bin give <w²> (1 + contrast |g1|²), and the ratio of sums over N
        pixels adds its bias, here to first order in 1 / N.
        """
        n = self.partition.n_pixels[:, None, None]
        edges = np.append(0, np.cumsum(n)[:-1])
        moments = [np.add.reduceat(self.mean**k, edges)[:, None, None] / n for k in (1, 2, 3)]
        square, cube = moments[1] / moments[0] ** 2, moments[2] / moments[0] ** 3
        c2 = 1 + CONTRAST * truth
        third = CONTRAST * (1 + truth) + 2 * (mode_weights(CONTRAST) ** 3).sum() * truth
        return square * c2 + (square**2 * c2 * CONTRAST * (2 + truth) - 2 * cube * third) / n, square

    def rows(self, name: str, seeds: int) -> list[Row]:
        """Return a row for each level of a regime."""
        dynamics, figures = REGIMES[name], {level: Figures() for level in LEVELS}
        truth = expected = factor = None
        off = ~np.tri(SIZE, k=1, dtype=bool)
        for seed in range(seeds):
            for level, counts, variance in self.movies(dynamics, (list(REGIMES).index(name), seed)):
                reducer = TwoTimeReducer(self.partition, len(counts), size=SIZE, normalization="symmetric")
                correlator = MultiTau(self.partition, len(counts))
                reducer.push(counts)
                correlator.push(counts)
                if truth is None:
                    truth = self.truth(dynamics, reducer.operator)
                    expected, factor = self.expected(truth)
                    truth = truth[:, off]
                one, residual = figures[level], ((reducer.maps() - expected) / factor)[:, off]
                one.deviation.append(residual.mean())
                one.friedel.append(residual[:9].mean(1) - residual[9:].mean(1))
                one.contrast.append(1 + (residual * truth).sum() / (truth * truth).sum() / CONTRAST)
                one.variance.append(variance)
                one.g2.append(correlator.result().value)
                one.tau = correlator.lag * self.frame_s
        return [{"regime": name, "photons": level, **one.row(dynamics, self)} for level, one in figures.items()]


class Figures:
    """Figures at one level, seed by seed."""

    def __init__(self) -> None:
        self.deviation: list[float] = []
        self.friedel: list[NDArray] = []
        self.contrast: list[float] = []
        self.variance: list[float] = []
        self.g2: list[NDArray] = []
        self.tau = np.empty(0)

    def row(self, dynamics: Dynamics, bench: Bench) -> Row:
        """Return means over the seeds: from contrast on, 1 is right, and nan means that it does not apply."""
        pairs = np.array(self.friedel)
        pair_z = pairs.mean(0) / error(pairs)
        near = self.tau < DURATION_S / 2  # further lags have few pairs of frames
        lags, seen = self.tau[near], np.array(self.g2)[..., near]
        tau = velocity = np.nan
        if dynamics.family in ("fluid", "slow") and not dynamics.anisotropy:
            tau = fit_kww(lags, seen.mean((0, 1)), error(seen.mean(1))).tau[0]
        if dynamics.family == "flow":
            p = bench.partition
            velocity = np.nanmean([fit_flow(lags, one, p.phi, p.q).velocity * p.q[0] for one in seen])
        return {
            "deviation": np.mean(self.deviation),
            "/ error": np.mean(self.deviation) / error(self.deviation),
            "Friedel / error": np.sqrt(np.mean(pair_z**2)),
            "contrast": np.mean(self.contrast),
            "± error": error(self.contrast),
            "variance": np.mean(self.variance),
            "tau": tau / dynamics.tau_s,
            "velocity": velocity / (dynamics.flow_rad_s or np.nan),
        }


def error(values: Any) -> Any:
    """Return the standard error of the mean over the seeds."""
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def speed(level: float, frames: int = 5000) -> Row:
    """Measure how long it takes to draw, count, compress and write full frames of an ageing sample, on one core."""
    geometry = Geometry(bad_share=3e-4)
    began, processor = time.perf_counter(), time.process_time()
    grain = Grain(geometry.ring, geometry.frame_shape, (0.8, 0.8))
    with tempfile.TemporaryDirectory() as folder:
        path = write_exposure(
            Path(folder), geometry, REGIMES["ageing"], frames, level, DURATION_S / frames, grain=grain
        )
        size = path.stat().st_size
    return {
        "what": f"{frames} frames of {geometry.frame_shape[0]} × {geometry.frame_shape[1]}",
        "photons": level,
        "wall (s)": time.perf_counter() - began,
        "processor (s)": time.process_time() - processor,
        "kB a frame": size / frames / 1e3,
    }


if __name__ == "__main__":
    study()
