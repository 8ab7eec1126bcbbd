"""The command that calibrates p-values for the exposures of an instrument before its first session."""

from pathlib import Path
from typing import Annotated

import typer

CONTRAST_ERR = 0.02  # relative error that most exposures have; all up to 0.1 share a calibration


def prepare(
    config: Annotated[Path, typer.Argument(help="Settings of the instrument (.toml).")],
    photons: Annotated[float, typer.Option(min=1e-3, help="Photons per pixel of the bins in an exposure.")],
    out: Annotated[Path | None, typer.Option(help="Also write the calibrations to this folder.")] = None,
) -> None:
    """Calibrate p-values for exposures of many frames, so that the first session need not: about a minute.

    The calibrations are kept in the user's cache. A session finds them if its exposures have about as many photons and
    the contrast of the settings.
    """
    from ainerd.cli import bars
    from ainerd.config import Settings
    from ainerd_xpcs.technique._calibration import calibrated, write_scorer
    from ainerd_xpcs.technique._technique import RheoXPCS
    from ainerd_xpcs.technique._verdict import Noise, options_of_a_session

    technique = RheoXPCS.from_settings(Settings.load(config).section, config.parent)
    if technique.contrast is None:
        raise ValueError(f"{config}: rheo_xpcs.contrast is not set: give the contrast of a static sample")
    several = [
        each
        for ring in technique.rings
        for each in options_of_a_session(Noise.of(photons, technique.contrast, ring.pixels), CONTRAST_ERR, ring)
    ]
    with bars() as progress:
        for given in progress.track(several, description="calibrating"):
            if out is None:
                calibrated(technique.bank, technique.encoder, **given)
            else:
                write_scorer(out, technique.bank, technique.encoder, **given)
    print(f"{len(several)} calibrations for {photons:g} photons per pixel, contrast {technique.contrast:g}")
