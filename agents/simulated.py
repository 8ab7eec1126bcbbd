"""The simulated instrument, with the geometry that the agent's settings name."""

from typing import Any

from ainerd.config import Settings
from sim_devices import Geometry, HiddenSample, SimulatedInstrument


def simulated_instrument(settings: Settings, *, sample_seed: int = 3, **options: Any) -> SimulatedInstrument:
    """Devices around a hidden sample; frames go where the settings let the agent read them.

    Parameters
    ----------
    settings : Settings
    sample_seed : int
        Of the hidden sample.
    **options
        Of `sim_devices.SimulatedInstrument`.
    """
    seen = settings.partition.model_dump(include=set(Geometry.__dataclass_fields__))
    return SimulatedInstrument(
        directory=settings.storage.frames[0],
        geometry=Geometry(**seen),
        sample=HiddenSample(seed=sample_seed),
        contrast=settings.analysis.contrast,
        **options,
    )
