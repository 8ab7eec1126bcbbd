"""The names of cyclic shear for a script."""

from ainerd_shear._clock_offset import ClockOffset, clock_offset
from ainerd_shear._cycle_moduli import CycleModuli, cycle_moduli
from ainerd_shear._cycle_phase import CyclePhase, StillError, phase_of_record
from ainerd_shear._echoes import EchoCurves, Echoes
from ainerd_shear._stretches import find_steps
from ainerd_shear._training import Training, fit_training
from ainerd_shear.panels import draw_sweep

__all__ = [
    "ClockOffset", "CycleModuli", "CyclePhase", "EchoCurves", "Echoes", "StillError", "Training",
    "clock_offset", "cycle_moduli", "draw_sweep", "find_steps", "fit_training", "phase_of_record",
]  # fmt: skip
