"""What tuning the learned encoder to measured runs brings: on dynamics nobody simulated, and on those it knew.

Runs of the held-out families in `ainerd.dynamics`, each at eighteen azimuths, stand for measured ones. Then maps of all
families at 0.05 photons per pixel and frame are decoded and denoised by the shipped encoder and by the tuned one.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from ainerd.dynamics import HELD_OUT, draw, reduced_g1_squared
from ainerd.dynamics._corpus import noisy
from ainerd.latent import Encoder
from ainerd.latent.training import tune_ours
from studies._latent_maps import LabelledMaps
from studies._report import report

LEVEL = 0.05
RUN = {"n_pixels": 570, "n_frames": 5000, "counts": 0.3}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=90)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--each", type=int, default=60, help="maps of each family")
    arguments = parser.parse_args()
    rng = np.random.default_rng(11)
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        tasks: dict[str, Any] = {}

        def watch(stage: str, done: int, total: int, watched: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        tuned = Encoder.load(tune_ours(Path(folder), runs(arguments.runs, rng), steps=arguments.steps, watch=watch))
    data = LabelledMaps.drawn(arguments.each, LEVEL, np.random.default_rng(12))
    rows = [
        row
        for name, encoder in (("shipped", Encoder.load("ours")), ("tuned", tuned))
        for row in of(name, encoder, data)
    ]
    report("tuning", rows, runs=arguments.runs, steps=arguments.steps, level=LEVEL)


def runs(n: int, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Maps (18, 256, 256) of runs of the held-out families in turn, contrast 0.2."""
    families = sorted(HELD_OUT)
    for i in range(n):
        dynamics = draw(families[i % len(families)], rng, 1.0)
        clean = reduced_g1_squared(dynamics, 1.0, 256, np.arange(18) * 10.0)
        yield noisy((0.2 * clean).astype(np.float32), rng=rng, **RUN)[:, 0]


def of(name: str, encoder: Encoder, data: LabelledMaps) -> Iterator[dict[str, Any]]:
    """Squared errors over those of the noisy maps, a row for known families and one for the others."""
    truth = 1 + data.contrast[:, None, None] * data.shape

    def error(maps: NDArray[np.float32]) -> NDArray[np.float32]:
        return (np.square(maps - truth) / data.contrast[:, None, None] ** 2).mean((1, 2))

    before = error(data.maps)
    decoded, denoised = (
        error(encoder.decode(encoder.encode(data.maps), size=64)),
        error(encoder.denoise(data.maps, size=64)),
    )
    for families, chosen in (("known", ~data.held_out), ("held out", data.held_out)):
        yield {
            "encoder": name,
            "families": families,
            "decode(encode)": float(decoded[chosen].mean() / before[chosen].mean()),
            "denoise": float(denoised[chosen].mean() / before[chosen].mean()),
        }


if __name__ == "__main__":
    main()
