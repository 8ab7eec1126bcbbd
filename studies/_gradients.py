"""Frames whose brightness falls with the distance from the beam, r to a power, inside bins that have only labels.

Each pixel is a sum of modes whose fields forget exponentially, seen by a Poisson process. No code of ainerd makes it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd_xpcs.numerics import G2, MultiTau, Partition, by_brightness, fit_relaxation
from studies._tools import Row

SHAPE, N_FRAMES, MODES = (60, 90), 512, 5
FIRST = 64  # frames by which the bins are cut
TAUS = np.array([8.0, 20.0, 50.0])  # of the bins, in frames
BEAMS = {"beside the bins": (-20.0, 45.0), "inside the bins": (30.0, 45.0)}
POWERS = 0.0, -0.8, -1.0, -2.0
PHOTONS = 0.1, 1.0  # per pixel and frame


def movie(power: float, beam: tuple[float, float], photons: float, seed: int) -> tuple[NDArray, NDArray]:
    """Return counts (n_frames, ny, nx) and labels (ny, nx): three ranges of the distance from the beam."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    r = np.hypot(y - beam[0], x - beam[1])
    labels = np.digitize(r, [6, 14, 22, 30] if beam[0] > 0 else [20, 33, 47, 60]) % 4
    light = np.maximum(r, 1) ** power
    light *= photons / light[labels > 0].mean()
    keep = np.exp(-1 / np.append(1.0, TAUS)[labels])[None, :, :, None]
    field, frames = rng.normal(size=(MODES, *SHAPE, 2)), np.empty((N_FRAMES, *SHAPE), np.uint16)
    for frame in frames:
        frame[:] = rng.poisson(light * np.square(field).sum(-1).mean(0) / 2)
        field = keep * field + np.sqrt(1 - keep**2) * rng.normal(size=field.shape)
    return frames, labels


def of_frames(frames: NDArray, labels: NDArray) -> G2:
    """Return g2 of the bins, cut by the brightness of the first frames."""
    partition = Partition.from_roi_map(labels)
    correlator = MultiTau(by_brightness(partition, partition.gather(frames[:FIRST]).sum(0, dtype=float)))
    correlator.push(frames)
    return correlator.result()


def of_gradients(quick: bool) -> Iterator[Row]:
    """Yield a row for each gradient and place of the beam: how many bins have a tau, and its pulls."""
    for place, beam in BEAMS.items():
        for power in POWERS:
            pulls: list[float] = []
            n = 0
            for seed in track(range(2 if quick else 10), f"{place}, r^{power:g}", transient=True):
                frames, labels = movie(power, beam, PHOTONS[seed % 2], seed)
                fit = fit_relaxation(of_frames(frames, labels))
                n += len(fit.tau)
                pulls += [*((fit.tau - TAUS) / fit.tau_err)[np.isfinite(fit.tau)]]
            z = np.abs(pulls)
            row = {"beam": place, "I": f"r^{power:g}", "bins": n, "with tau": len(z) / n, "mean": np.mean(pulls)}
            yield row | {"sd": np.std(pulls), "in 1": (z < 1).mean(), "in 3": (z < 3).mean()}
