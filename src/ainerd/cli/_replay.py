"""`ainerd replay`: analyse again runs that are in Tiled."""

from typing import Annotated

import typer

from ainerd.cli._shared import Config, Json, Tiled, opened


def replay(
    uids: Annotated[
        list[str] | None, typer.Argument(help="Runs, by uid. Default: all without a result.", show_default=False)
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Those whose analysis failed, too.")] = False,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEDULER", help="Dask cluster that does it: tcp://host:port; local: this machine's cores."
        ),
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Analyse runs that are in Tiled with the settings of an instrument, one by one or on a Dask cluster.

    Complete results with the same parameters are kept, so the same command continues after an interruption.
    With other parameters (another --config, or the environment) a run gets a second result beside the first.
    At the end a new atlas groups the results of these parameters into regimes. The command suggests nothing.
    """
    from rich.console import Console

    from ainerd.cli._reanalysis import reanalyse
    from ainerd.config import Settings
    from ainerd.results import event_identity

    if config is None:
        raise ValueError("how are the runs to be analysed? give --config with an instrument's .toml")
    settings = Settings.load(config)
    embedded = tiled is None and not settings.storage.uri
    with opened(tiled, config) as client:
        outcomes = reanalyse(settings, client, uids or (), again=all, dask=dask, embedded=embedded, quiet=json)
    complete, failed = {}, {}
    for outcome in outcomes:
        name = outcome.raw_uid if outcome.event is None else event_identity(outcome.raw_uid, outcome.event)
        if outcome.status == "failed":
            failed[name] = outcome.reason
        else:
            complete[name] = outcome.key
    console = Console()
    if json:
        console.print_json(data={"complete": complete, "failed": failed}, indent=None)
        return
    for name, reason in failed.items():
        console.print(f"run {name} failed: {reason}", markup=False, highlight=False)
    console.print(f"{len(outcomes)} analysed: {len(complete)} complete, {len(failed)} failed")
