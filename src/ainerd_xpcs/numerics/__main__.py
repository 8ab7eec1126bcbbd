"""Compile the loops over pixels of 16-bit frames: ``python -m ainerd_xpcs.numerics``.

Numba keeps them in its cache, from which processes that start later read them. Half of the loops screen frames, and
half correlate them; ``python -m ainerd_xpcs.numerics screen`` and ``correlate`` compile the halves, on two cores.
"""

import sys

import numpy as np

from ainerd_xpcs.numerics import MultiTau, Partition, Screen, TwoTimeReducer

N_FRAMES = 64


def main(which: list[str]) -> None:
    """Screen and correlate some frames."""
    partition = Partition.from_roi_map(np.repeat(np.arange(1, 5), 256).reshape(32, 32))
    frames = np.random.default_rng(0).poisson(1.0, (N_FRAMES, 1024)).astype(np.uint16)
    if "correlate" in which:
        multi_tau = MultiTau(partition)
        for correlator in (TwoTimeReducer(partition, N_FRAMES), multi_tau):
            correlator.push(frames, first=0, valid=np.ones(N_FRAMES, bool))
        multi_tau.result()
    if "screen" in which:
        screen = Screen(partition, N_FRAMES)
        for _ in (*screen.push(frames, first=0), *screen.flush()):
            pass


if __name__ == "__main__":
    main(sys.argv[1:] or ["screen", "correlate"])
