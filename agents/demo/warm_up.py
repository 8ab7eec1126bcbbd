"""Compile the functions of the simulated instrument and of the analysis, before the first session."""

import tempfile
from pathlib import Path

import agents.demo.campaign  # noqa: F401 - its imports write their bytecode
from agents.demo.simulated import simulated_instrument
from agents.rheo_xpcs import TOML
from ainerd.agent import build_technique
from ainerd.config import Settings
from sim_devices import acquire


def main() -> None:
    """Take one exposure of particles, and let the technique compile its functions."""
    with tempfile.TemporaryDirectory() as folder:
        instrument = simulated_instrument(Path(folder, "frames"), sample="particles", sample_seed=0, speed=1e6)
        instrument.detector.cam.num_images.put(2)
        acquire(instrument, Path(folder), "warm_up")
    build_technique(Settings.load(TOML)).warm_up()


if __name__ == "__main__":
    main()
