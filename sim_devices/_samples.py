"""Samples by name."""

from collections.abc import Callable

import numpy as np

from sim_devices._layouts import bands, gradient, inclusions, null, voronoi
from sim_devices._moving_layouts import blocks, flow_field, particles
from sim_devices._sample import HiddenSample, Layout

SAMPLES: dict[str, Callable[[np.random.Generator], Layout]] = {
    "inclusions": inclusions,
    "voronoi": voronoi,
    "gradient": gradient,
    "bands": bands,
    "null": null,
    "particles": particles,
    "blocks": blocks,
    "flow_field": flow_field,
}


def hidden_sample(name: str = "inclusions", seed: int = 0) -> HiddenSample:
    """Make a sample.

    Parameters
    ----------
    name : str
        A name in `SAMPLES`.
    seed : int
        The same seed gives the same sample.

    Raises
    ------
    ValueError
        If there is no such sample.
    """
    if name not in SAMPLES:
        raise ValueError(f"no sample {name!r}: there are {', '.join(SAMPLES)}")
    rng = np.random.default_rng(seed)
    return HiddenSample(SAMPLES[name](rng), rng)
