"""`ainerd replay`, `export` and `report`: make results, and write them to files."""

from pathlib import Path
from typing import Annotated

import typer

from ainerd.cli._dask import Dask
from ainerd.cli._shared import Config, Force, Json, Tiled, check_new, check_out, key_of, results_at, show_file

KEY_HELP = "Number of a scan, or the first characters of a result's key."


def replay(
    uids: Annotated[
        list[str] | None, typer.Argument(help="Numbers of scans, or uids of runs. Default: all without a result.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Include runs whose analysis failed.")] = False,
    dask: Dask = None,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Analyse runs that are in Tiled with the settings of an instrument.

    Complete results with the same parameters are kept, so the same command continues after an interruption.
    With other parameters (another --config, or the environment) a run gets a second result beside the first.
    At the end the results of these parameters are grouped into regimes. The command suggests nothing.
    """
    if config is None:
        raise ValueError("how are the runs to be analysed? give --config with an instrument's .toml")
    from rich.console import Console

    from ainerd.cli.reanalysis import reanalyse
    from ainerd.results import ResultRecord

    outcomes = reanalyse(tiled, config, uids or (), again=all, dask=dask, quiet=json)
    complete, failed = {}, {}
    for outcome in outcomes:
        name = ResultRecord.identity_of(outcome.raw_uid, outcome.event)
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
    counts = f"{len(outcomes)} analysed: {len(complete)} complete, {len(failed)} failed"
    console.print(counts if outcomes else "nothing to analyse: each run that has ended and has frames has its results")


def export(
    key: Annotated[str | None, typer.Argument(help=KEY_HELP)] = None,
    out: Annotated[Path | None, typer.Argument(help="File to write, which must not exist.")] = None,
    table: Annotated[Path | None, typer.Option(help="Table of all results instead, .csv, .parquet or .xlsx.")] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Write one result to a file in the format of its technique, or the table of all to CSV, Parquet or Excel."""
    if table is not None and table.suffix not in (".csv", ".parquet", ".xlsx"):
        raise ValueError(f"{table}: give a name that ends in .csv, .parquet or .xlsx")
    if (table is None) == (key is None) or (key is None) != (out is None):
        raise ValueError("give KEY and OUT, or --table alone")
    import ainerd.results

    with results_at(tiled, config) as store:
        if key is not None and out is not None:
            show_file(ainerd.results.export(store, key_of(store, key), out))
        elif table is not None:
            check_out(table, force=True)
            show_file(store.export(table))


def report(
    out: Annotated[Path, typer.Argument(help="The file to write, .html.")] = Path("report.html"),
    agent: Annotated[str | None, typer.Option(help="Name of the agent. Default: that of the newest result.")] = None,
    force: Force = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Write the figure of a campaign, the table of its results and the log to one file."""
    if out.suffix != ".html":
        raise ValueError(f"{out}: give a name that ends in .html; a browser prints it as PDF")
    check_new(out, force)
    from ainerd.config import Settings

    settings = None if config is None else Settings.load(config)
    from ainerd.results import ResultStore
    from ainerd.views import report_html

    agent = agent or (None if settings is None else settings.name)
    with results_at(tiled, config) as store:
        table = store.table(all=True)
        mine = table if agent is None else table[table["agent"].eq(agent)]
        if mine.empty:
            others = ", ".join(sorted(table["agent"].unique()))
            raise ValueError(f"{agent or 'no agent'} has no results; there are those of {others or 'nobody'}")
        newest = mine.iloc[-1]
        of_agent = ResultStore(store.container, agent=str(newest["agent"]), digest=str(newest["digest"]))
        content = report_html(of_agent, None if settings is None else settings.steering.bounds)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(content, encoding="utf-8")
        show_file(out)
