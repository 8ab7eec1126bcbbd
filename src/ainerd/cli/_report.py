"""`ainerd report`: write the report of a campaign to one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli._shared import Config, Tiled, opened, show_file, store_of

if TYPE_CHECKING:
    from tiled.client.container import Container

    from ainerd.results import ResultStore


EXAMPLE = '{"sample_x": [0, 10]}'


def report(
    out: Annotated[Path, typer.Argument(help="The file to write, .html or .pdf.")] = Path("report.html"),
    agent: Annotated[str | None, typer.Option(help="Whose campaign; without it, of the newest result.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    bounds: Annotated[
        str | None, typer.Option(help=f"How far the maps reach, as JSON: {EXAMPLE}; else the settings say.")
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Write a report with regimes, positions, verdicts, decisions, failures and next steps to one file."""
    if out.suffix not in (".html", ".pdf"):
        raise ValueError(f"{out}: give a name that ends in .html or .pdf")
    if out.exists() and not force:
        raise ValueError(f"{out} is there: give another name, or --force")
    from pydantic import TypeAdapter, ValidationError

    from ainerd.config import Settings
    from ainerd.views import read_report, write_report

    limits = None
    if config is not None:
        settings = Settings.load(config)
        limits, agent = settings.steering.bounds, agent or settings.name
    if bounds is not None:
        try:
            limits = TypeAdapter(dict[str, tuple[float, float]]).validate_json(bounds)
        except ValidationError:
            raise ValueError(f"--bounds {bounds}: give limits as JSON, such as '{EXAMPLE}'") from None
    with opened(tiled, config) as client:
        content = read_report(_store(client, agent), limits)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_report(content, out)
    show_file(out)


def _store(client: "Container", agent: str | None) -> "ResultStore":
    """Return the store of an agent with its newest parameters, by default of the agent with the newest result.

    Raises ValueError, with the names of the agents that have results, if this agent has none.
    """
    from ainerd.results import ResultStore

    table = store_of(client).table()
    if agent is not None:
        there = sorted(table["agent"].unique()) if len(table) else []
        table = table[table["agent"].eq(agent)] if len(table) else table
        if table.empty:
            raise ValueError(f"agent {agent!r} has no results; there are those of {', '.join(there) or 'nobody'}")
    elif table.empty:
        raise ValueError("there is no result yet: nothing to report")
    newest = table.iloc[-1]
    return ResultStore(client["ainerd"], agent=str(newest["agent"]), digest=str(newest["digest"]))
