"""Maps and clocks of four samples, in a picture: ``python docs/clock.py`` draws it for docs/explanation/clock.md."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd_xpcs.numerics import Clock, fit_clock
from ainerd_xpcs.technique import draw_clock, draw_map

PICTURE = Path(__file__).resolve().parent / "images" / "clock.png"
SIZE, FRAMES, BINS, PIXELS, PHOTONS, MODES = 64, 256, 18, 300, 0.5, 5  # photons per pixel and frame
TIME = (np.arange(FRAMES) + 0.5) / FRAMES  # in exposures
RATES = {  # 1 / tau, in 1 / exposure
    "steady": np.full(FRAMES, 8.0),
    "slows": 2.5 / (TIME + 0.05),
    "jumps": 1.5 + FRAMES * np.isin(np.arange(FRAMES), (80, 180)),
    "oscillates": 12 * (1 + 0.85 * np.sin(2 * np.pi * TIME / 0.25)),
}


def maps_of(rate: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return C2 - 1 of each bin, (18, 64, 64): covariances of photons of Gaussian speckle, without their shot noise."""
    clock = np.cumsum(rate) / FRAMES
    root = np.linalg.cholesky(np.exp(-np.abs(clock[:, None] - clock)) + 1e-6 * np.eye(FRAMES))
    light = sum(np.square(root @ rng.standard_normal((FRAMES, BINS * PIXELS))) for _ in range(MODES)) / MODES
    counts = rng.poisson(PHOTONS * light).reshape(SIZE, -1, BINS, PIXELS).sum(1)
    relative = counts / counts.mean(2, keepdims=True) - 1
    return np.einsum("ikp,jkp->kij", relative, relative) / PIXELS


def main() -> None:
    """Simulate each sample, fit its clock, and draw both."""
    rng, figure = np.random.default_rng(2), Figure(figsize=(11, 5.2), layout="constrained")
    above, below = figure.subplots(2, len(RATES), height_ratios=(1.25, 1))
    for axes, under, rate in zip(above, below, RATES.values(), strict=True):
        maps = maps_of(rate, rng)
        clock: Clock = fit_clock(maps, np.full(BINS, PIXELS), SIZE / FRAMES / PHOTONS)
        mean = 1 + maps.mean(0)
        np.fill_diagonal(mean, np.nan)
        draw_map(axes, mean, 1.0, 1.0, float(np.nanquantile(mean, 0.995)), "0.3")
        axes.set(title=clock.word, xlabel="$t_1$ / exposure")
        under.semilogy(TIME, rate, color="0.5", lw=1, drawstyle="steps-mid")
        draw_clock(under, clock.rate, (clock.rate_high - clock.rate_low) / 2, clock.age)
        for jump in clock.events:
            under.axvline(jump.time, color="k", lw=0.8, ls=":")
        under.set(xlim=(0, 1), xlabel="time / exposure", ylabel="")
    above[0].set_ylabel("$t_2$ / exposure")
    below[0].set_ylabel("rate 1/τ (1 / exposure)")
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
