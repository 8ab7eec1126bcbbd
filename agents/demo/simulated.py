"""The simulated instrument, with the geometry that the agent's settings name."""

from typing import Any

from ainerd.config import Settings, read_section
from ainerd.techniques.rheo_xpcs import RheoXPCSSettings
from sim_devices import Geometry, SimulatedInstrument, hidden_sample


def simulated_instrument(
    settings: Settings,
    *,
    sample: str = "inclusions",
    sample_seed: int = 3,
    bad_share: float = 0.0,
    **options: Any,
) -> SimulatedInstrument:
    """Devices around a hidden sample; frames go where the settings let the agent read them.

    Parameters
    ----------
    settings : Settings
    sample : str
        Its name in `sim_devices.SAMPLES`.
    sample_seed : int
        Of the hidden sample.
    bad_share : float
        Part of the pixels that is dead or hot: `detector.geometry.bad_pixels`, for a ``partition.mask``.
    **options
        Of `sim_devices.SimulatedInstrument`.
    """
    technique = read_section(RheoXPCSSettings, settings.section, "rheo_xpcs")
    if not technique.partition.by_geometry:
        raise ValueError("rheo_xpcs.partition: simulated devices need a geometry, not bins from a file")
    seen = technique.partition.model_dump(include=set(Geometry.__dataclass_fields__), exclude_none=True)
    if technique.contrast is not None:
        options["contrast"] = technique.contrast
    return SimulatedInstrument(
        directory=settings.storage.frames[0],
        geometry=Geometry(**seen, bad_share=bad_share),
        sample=hidden_sample(sample, sample_seed),
        **options,
    )
