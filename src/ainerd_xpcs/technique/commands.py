"""`ainerd calibrate`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli import Config, Dask, Tiled, bars, check_out, key_of, mapping, results_at, show_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ainerd.results import ResultStore
    from ainerd_xpcs.latent import Encoder
    from ainerd_xpcs.technique._clean import Clean

    Maps = NDArray[np.float32]

CONTRAST_ERR = 0.02  # relative error that most exposures have; all up to 0.1 share a calibration


def calibrate(
    out: Annotated[
        Path | None, typer.Option(help="The file to write, reference.safetensors by default; with --photons a folder.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=0, help="Simulated exposures of ordinary dynamics; 0 for none.")] = 7600,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random draws.")] = 0,
    regime: Annotated[list[int] | None, typer.Option(help="Count measured runs of this regime as known.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Count this result as known: number of its scan, or first characters of its key."),
    ] = None,
    photons: Annotated[
        float | None, typer.Option(min=1e-3, help="Photons per pixel of an exposure: write its calibrations alone.")
    ] = None,
    dask: Dask = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Write the exposures with which p-values compare: simulated ones, measured runs, or both.

    Each regime is one kind of behaviour, and so are the results given by key together. Of a kind of fewer than 24 runs,
    four at least, each is taken several times, with its time stretched a little. The next session takes the file by
    `rheo_xpcs.bank`; one that runs keeps its own.

    With --photons, calibrate the p-values for exposures of the instrument of --config, so that its first session need
    not: about a minute. The calibrations are kept in the user's cache, or written to the folder --out.
    """
    if photons is not None:
        _prepare(config, photons, out)
        return
    out = out or Path("reference.safetensors")
    from ainerd_xpcs.latent import Encoder
    from ainerd_xpcs.technique._bank import Bank, write_bank
    from ainerd_xpcs.technique._clean import FEWEST_SIMULATED, simulated_exposures

    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: give a name that ends in .safetensors")
    if not (n or regime or key):
        raise ValueError("nothing to compare with: give --n, or --regime or --key with --tiled")
    if 0 < n < FEWEST_SIMULATED:
        raise ValueError(f"--n {n}: enough of each kind need {FEWEST_SIMULATED} exposures")
    simulated: tuple[list[Clean], list[str]] = [], []
    measured: tuple[list[Maps], list[str]] = [], []
    if regime or key:
        with results_at(tiled, config) as store:
            measured = _measured_exposures(store, regime or [], key or [], Encoder.load())
    n_measured = len(measured[0])
    check_out(out, force=True)
    if n:
        with mapping(dask) as over, bars() as progress:
            advance = partial(progress.advance, progress.add_task("simulating", total=n))
            simulated = simulated_exposures(n, seed=seed, advance=advance, over=over)
    exposures: list[Clean | Maps] = [*simulated[0], *measured[0]]
    write_bank(out, exposures, simulated[1] + measured[1], seed=seed, simulated=n, measured=n_measured)
    show_file(out)
    print(f"reference {Bank.load(out).id}: {n} simulated exposures, {n_measured} measured")


def _measured_exposures(
    store: "ResultStore", regimes: list[int], keys: list[str], encoder: "Encoder"
) -> "tuple[list[Maps], list[str]]":
    """Return measured runs as exposures without noise, and their kinds."""
    from ainerd_xpcs.technique._clean import FEWEST_MEASURED, FEWEST_OF_A_KIND, measured_exposure, stretched

    chosen = {f"regime {r}": [str(k) for k in store.search(regime=r, status="complete").index] for r in regimes}
    if keys:
        chosen["chosen runs"] = [key_of(store, given) for given in keys]
    for kind, keys_of_kind in chosen.items():
        if len(keys_of_kind) < FEWEST_MEASURED:
            raise ValueError(f"{kind}: {len(keys_of_kind)} complete results, a kind needs {FEWEST_MEASURED}")
    clean, kinds = [], []
    for kind, keys_of_kind in chosen.items():
        times = -(-FEWEST_OF_A_KIND // len(keys_of_kind))
        for result in keys_of_kind:
            exposure = measured_exposure(encoder, store.array(result, "c2"), contrast=_contrast(store, result))
            clean += stretched(exposure, times)
            kinds += [kind] * times
    return clean, kinds


def _contrast(store: "ResultStore", key: str) -> float:
    """Return the speckle contrast of a result: measured in the run, or from the settings."""
    table = store.table(all=True)
    measured = table["contrast0"].get(key, 0) if "contrast0" in table else 0
    contrast = measured if measured > 0 else store.record(key).parameters.get("contrast")
    if contrast is None:
        raise ValueError(f"{key}: its speckle contrast is not known, leave it out")
    return float(contrast)


def _prepare(config: Path | None, photons: float, out: Path | None) -> None:
    """Calibrate p-values for exposures with about these photons per pixel, and the contrast of the settings."""
    from ainerd.config import Settings
    from ainerd_xpcs.technique._calibration import calibrated, write_scorer
    from ainerd_xpcs.technique._technique import RheoXPCS
    from ainerd_xpcs.technique._verdict import Noise, options_of_a_session

    if config is None:
        raise ValueError("--photons needs the settings of an instrument: give --config")
    settings = Settings.load(config)
    if settings.technique != RheoXPCS.name:
        raise ValueError(f"{config}: its technique is {settings.technique}: only {RheoXPCS.name} has such calibrations")
    technique = RheoXPCS.from_settings(settings.section, config.parent)
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
