"""`ainerd calibrate`: make the bank that novelty is calibrated against."""

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

    Exposures = tuple[list[NDArray[np.float32]], list[str]]


def calibrate(
    out: Annotated[Path, typer.Option(help="The bank to write (.safetensors).")] = Path("bank.safetensors"),
    n: Annotated[int, typer.Option("--n", min=0, help="Simulated exposures of known dynamics; 0 for none.")] = 5400,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
    regime: Annotated[list[int] | None, typer.Option(help="Take measured runs of this regime for known.")] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Take this result for known: its key, or the first characters.")
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Make a bank of simulated exposures, of measured runs, or of both.

    Each regime is a known kind, and so are the results given by key together. A kind needs 24 runs.
    """
    from ainerd.latent import Encoder
    from ainerd.techniques.rheo_xpcs import Bank, simulated_exposures, write_bank

    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: a bank is a .safetensors file")
    if not (n or regime or key):
        raise ValueError("nothing to make a bank of: give --n, or --regime or --key with --tiled")
    clean: list[NDArray[np.float32]] = []
    kinds: list[str] = []
    if regime or key:
        with opened(tiled, config) as client:
            clean, kinds = _measured(store_of(client), regime or [], key or [], Encoder.load())
    n_measured = len(clean)
    if n:
        with bars() as progress:
            advance = partial(progress.advance, progress.add_task("simulating", total=n))
            simulated, families = simulated_exposures(n, seed=seed, advance=advance)
        clean, kinds = simulated + clean, families + kinds
    write_bank(out, clean, kinds, seed=seed, simulated=n, measured=n_measured)
    show_file(out)
    print(f"bank {Bank.load(out).id}: {n} simulated exposures, {n_measured} measured")


def _measured(store: "ResultStore", regimes: list[int], keys: list[str], encoder: "Encoder") -> "Exposures":
    """Measured runs as exposures without noise, and what they are known as."""
    from ainerd.techniques.rheo_xpcs import FEWEST_OF_A_KIND, measured_exposure

    chosen: dict[str, list[str]] = {}
    for regime in regimes:
        chosen[f"regime {regime}"] = [str(k) for k in store.search(regime=regime, status="complete").index]
    if keys:
        chosen["chosen runs"] = [key_of(store, given) for given in keys]
    for kind, found in chosen.items():
        if len(found) < FEWEST_OF_A_KIND:
            raise ValueError(f"{kind}: {len(found)} complete results, a known kind needs {FEWEST_OF_A_KIND}")
    clean, kinds = [], []
    for kind, found in chosen.items():
        for result in found:
            contrast = float(store.record(result).parameters["contrast"])
            clean.append(measured_exposure(encoder, store.array(result, "c2"), contrast=contrast))
            kinds.append(kind)
    return clean, kinds
