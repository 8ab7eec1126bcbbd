"""A sweep over the yield strain: ``python docs/cyclic_shear.py`` draws it for docs/how-to/cyclic-shear.md."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ainerd_shear import Echoes, cycle_moduli, draw_sweep, phase_of_record
from ainerd_xpcs import Partition
from sim_devices import Cycled, Geometry, Oscillation, ScatteredMovie, SoftSolid, frame_times, write_oscillation

PICTURE = Path(__file__).resolve().parent / "images" / "cyclic-shear.png"
AMPLITUDES = (0.03, 0.06, 0.1, 0.13, 0.17)
PLACE = Geometry(shape=(40, 40), beam_center_px=(20.0, -42.0), q_range_inv_nm=(0.001, 0.05))
YIELD_STRAIN, N_CYCLES, N_BINS = 0.1, 150, 4


def main() -> None:
    """Simulate each amplitude, analyse it, and draw all."""
    q = PLACE.q_inv_nm.ravel()
    labels = np.empty(q.size, int)
    labels[np.argsort(q)] = np.arange(q.size) * N_BINS // q.size + 1
    mean = np.bincount(labels, q)[1:] / np.bincount(labels)[1:]
    partition = Partition.from_roi_map(labels.reshape(PLACE.frame_shape), q=mean)
    curves, moduli = [], []
    for seed, amplitude in enumerate(AMPLITUDES):
        rng = np.random.default_rng(seed)
        steady = Oscillation(frequency_hz=1.0, steps=((1.0, amplitude),))
        sample = Cycled(family="yielding", oscillation=steady, diffusion_nm2=60.0, yield_strain=YIELD_STRAIN)
        t_s = frame_times(steady, N_CYCLES, [0.25], rng=rng)
        counts = np.zeros((N_CYCLES, q.size), np.uint16)
        blocks = ScatteredMovie(sample, t_s, PLACE, contrast=0.5, rng=rng).blocks()
        counts[:, PLACE.ring] = rng.poisson(5 * np.concatenate(list(blocks)))
        solid = SoftSolid(yield_strain=YIELD_STRAIN)
        record = write_oscillation(steady, solid, 25 * N_CYCLES, every_s=0.04, noise=0.02, rng=rng)
        phase = phase_of_record(record["time"], record["strain"])
        echoes = Echoes(partition, [0.25])
        echoes.push(counts.reshape(-1, *PLACE.frame_shape), phase.at(t_s))
        echoes.end()
        curves.append(echoes.result())
        moduli.append(cycle_moduli(record["time"], record["strain"], record["stress"], phase))
    figure = Figure(figsize=(9, 4), layout="constrained")
    draw_sweep(figure, AMPLITUDES, curves, moduli, roi=2)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
