"""`ainerd calibrate`: make a calibration bank."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli import Config, Tiled, bars, key_of, opened, show_file, store_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ainerd.latent import Encoder
    from ainerd.results import ResultStore
    from ainerd.techniques.rheo_xpcs import Clean

    Exposures = tuple[list[NDArray[np.float32]], list[str]]


def calibrate(
    out: Annotated[Path, typer.Option(help="The bank to write (.safetensors).")] = Path("bank.safetensors"),
    n: Annotated[int, typer.Option("--n", min=0, help="Simulated exposures of ordinary dynamics; 0 for none.")] = 6100,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
    regime: Annotated[list[int] | None, typer.Option(help="Take measured runs of this regime for known.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Take this result for known: number of its scan, or first characters of its key."),
    ] = None,
    from_tiled: Annotated[
        bool, typer.Option("--from-tiled", help="With --regime or --key: what a person calls known, from a server.")
    ] = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Make a bank of simulated exposures, of measured runs, or of both.

    Each regime is a known kind, and so are the results given by key together. Of a kind of fewer than 24 runs, four at
    least, each is taken several times, with its time stretched a little. The next session takes the bank by
    `rheo_xpcs.bank`; one that runs keeps its own.
    """
    from ainerd.latent import Encoder
    from ainerd.techniques.rheo_xpcs import FEWEST_SIMULATED, Bank, simulated_exposures, write_bank

    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: a bank is a .safetensors file")
    if from_tiled and not (regime or key):
        raise ValueError("--from-tiled: say what is known, by --regime or --key")
    if not (n or regime or key):
        raise ValueError("nothing to make a bank of: give --n, or --regime or --key with --tiled")
    if 0 < n < FEWEST_SIMULATED:
        raise ValueError(f"--n {n}: a bank with enough of each kind needs {FEWEST_SIMULATED} exposures")
    clean: list[NDArray[np.float32]] = []
    kinds: list[str] = []
    if regime or key:
        with opened(tiled, config) as client:
            clean, kinds = _measured(store_of(client), regime or [], key or [], Encoder.load())
    n_measured = len(clean)
    exposures: list[Clean | NDArray[np.float32]] = [*clean]
    if n:
        with bars() as progress:
            advance = partial(progress.advance, progress.add_task("simulating", total=n))
            simulated, families = simulated_exposures(n, seed=seed, advance=advance)
        exposures, kinds = [*simulated, *clean], families + kinds
    write_bank(out, exposures, kinds, seed=seed, simulated=n, measured=n_measured)
    show_file(out)
    print(f"bank {Bank.load(out).id}: {n} simulated exposures, {n_measured} measured")


def _measured(store: "ResultStore", regimes: list[int], keys: list[str], encoder: "Encoder") -> "Exposures":
    """Return measured runs as exposures without noise, and their kinds."""
    from ainerd.techniques.rheo_xpcs import FEWEST_MEASURED, FEWEST_OF_A_KIND, measured_exposure, stretched

    chosen: dict[str, list[str]] = {}
    for regime in regimes:
        chosen[f"regime {regime}"] = [str(k) for k in store.search(regime=regime, status="complete").index]
    if keys:
        chosen["chosen runs"] = [key_of(store, given) for given in keys]
    for kind, keys_of_kind in chosen.items():
        if len(keys_of_kind) < FEWEST_MEASURED:
            raise ValueError(f"{kind}: {len(keys_of_kind)} complete results, a known kind needs {FEWEST_MEASURED}")
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
    record = store.record(key)
    column = store.table().get("contrast0")
    value = float("nan") if column is None else float(column.get(key, float("nan")))
    given = record.parameters.get("contrast")
    if value > 0:
        return value
    if given is None:
        raise ValueError(f"{key}: its speckle contrast is not known, leave it out")
    return float(given)
