"""Simulated ramps, small enough for tests."""

import numpy as np

from ainerd.testing import ExampleRun
from sim_devices import Crystal

TEMPERATURES = np.linspace(30.0, 180.0, 10)


def ramp(seed=0, temperatures=TEMPERATURES, n=64, exposures=None, **crystal):
    """Return a run with one frame for each temperature."""
    rng, sample = np.random.default_rng(seed), Crystal(n, seed=seed, **crystal)
    exposures = np.ones(len(temperatures)) if exposures is None else exposures
    frames = np.array([rng.poisson(sample.counts(t, x)) for t, x in zip(temperatures, exposures, strict=True)])
    return ExampleRun(
        frames=frames.astype(np.uint16),
        frame_time_s=None,
        readings={"temperature": np.asarray(temperatures), "i0": exposures},
        uid=f"ramp {seed}",
    )
