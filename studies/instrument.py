"""Whether the simulated frames agree with theory.

For each regime, movies of the ring are drawn from many seeds, counted at two levels, and reduced to the two-time maps
of 18 bins. C2, in cells without a frame paired with itself, is compared with `Bench.expected`, for maps normalised by
each frame's mean. Every standard error comes from the scatter between the seeds: nothing is assumed white.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from threadpoolctl import threadpool_limits

from ainerd_xpcs import Partition, TwoTimeReducer, reduction_operator
from ainerd_xpcs.dynamics import Dynamics, g1_squared
from sim_devices import FrameMaker, Geometry, Grain, SpeckleMovie, mode_weights
from studies._movies import ring_of
from studies._tools import Row, Study, report

DURATION_S, CONTRAST, SIZE, LEVELS = 50.0, 0.2, 256, (0.05, 0.5)
TURN = 2 * np.pi / DURATION_S
EVENTS = ((9.0, 1.1), (21.5, 0.8), (22.6, 1.9), (41.0, 1.3))
BAND = Dynamics(family="flow", tau_s=30.0, flow_rad_s=8 * TURN)
REGIMES = {
    "exponent 0.5": Dynamics(family="fluid", tau_s=2.0, exponent=0.5),
    "exponent 1": Dynamics(family="fluid", tau_s=1.5),
    "exponent 1.7": Dynamics(family="slow", tau_s=6.0, exponent=1.7),
    "ageing": Dynamics(family="ageing", tau_s=1.5, ageing=1.1, ageing_onset_s=7.5, age_s=3.0),
    "avalanche": Dynamics(family="avalanche", tau_s=200.0, exponent=1.2, events=EVENTS),
    "arrested": Dynamics(family="arrested", tau_s=4.0, plateau=0.7),
    "flow": Dynamics(family="flow", tau_s=40.0, static=0.45, flow_rad_s=6.5 * TURN),
    "banded": Dynamics(family="banded", tau_s=30.0, flow_rad_s=2 * TURN, second=BAND, second_share=0.4),
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
        low, high = {"/ error": -5.0, "contrast": 0.95}, {"/ error": 5.0, "contrast": 1.05}
        report("instrument", rows, least=low, most=high, frames=frames, seeds=seeds, contrast=CONTRAST)


class Bench:
    """The detector, its partition, and the times of the frames of each movie."""

    def __init__(self, frames: int) -> None:
        self.geometry = Geometry(bad_share=3e-4)
        self.partition = Partition.from_roi_map(ring_of(self.geometry).roi_map)  # S(q) is constant over a bin
        self.maker = FrameMaker(self.geometry)
        self.grain = Grain(self.geometry.ring, self.geometry.frame_shape, (0.8, 0.8))
        self.columns = np.searchsorted(self.geometry.ring, self.partition.pixels)  # of the bins among the ring's pixels
        self.phi = self.geometry.phi_deg.ravel()
        self.mean = self.geometry.profile.ravel()[self.partition.pixels]
        self.frame_s = DURATION_S / frames
        self.times = (np.arange(frames) + 0.5) * self.frame_s

    def blocks(self, dynamics: Dynamics, rng: np.random.Generator) -> Iterator[NDArray]:
        """Yield the intensities of the ring's pixels."""
        phi = self.phi[self.maker.ring]
        return SpeckleMovie(dynamics, self.times, phi, contrast=CONTRAST, rng=rng, grain=self.grain).blocks()

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
        """Return a row for each level of a regime: mean deviation of C2, and contrast over the true one."""
        dynamics, off = REGIMES[name], ~np.tri(SIZE, k=1, dtype=bool)
        deviation: dict[float, list[float]] = defaultdict(list)
        contrast: dict[float, list[float]] = defaultdict(list)
        truth = self.truth(dynamics, reduction_operator("area", len(self.times), SIZE))
        (expected, factor), truth = self.expected(truth), truth[:, off]
        for seed in range(seeds):
            rng = np.random.default_rng((list(REGIMES).index(name), seed))
            intensity = np.concatenate(list(self.blocks(dynamics, rng)))
            for level in LEVELS:
                reducer = TwoTimeReducer(self.partition, len(self.times), size=SIZE)
                counts = self.maker.count(intensity, np.full(len(intensity), level), self.frame_s, rng)
                reducer.push(counts[:, self.columns])
                residual = ((reducer.maps() - expected) / factor)[:, off]
                deviation[level].append(residual.mean())
                contrast[level].append(1 + (residual * truth).sum() / (truth * truth).sum() / CONTRAST)
        return [
            {
                "regime": name,
                "photons": level,
                "deviation": np.mean(deviation[level]),
                "/ error": np.mean(deviation[level]) / error(deviation[level]),
                "contrast": np.mean(contrast[level]),
                "± error": error(contrast[level]),
            }
            for level in LEVELS
        ]


def error(values: list[float]) -> float:
    """Return the standard error of the mean over the seeds."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


if __name__ == "__main__":
    study()
