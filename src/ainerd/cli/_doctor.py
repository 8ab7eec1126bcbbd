"""`ainerd doctor`: check the installation, the settings and the server."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli._check import show
from ainerd.cli._shared import Config, Json, Tiled, opened

if TYPE_CHECKING:
    from ainerd.technique import Finding

REPAIR = "if it cannot be repaired, remove the node: ainerd replay writes the result of a run again"


def doctor(
    results: Annotated[bool, typer.Option("--results", help="Check every result in the catalogue, too.")] = False,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check versions, settings, technique, storage and server; exit code 1 if there is a problem.

    Each problem comes with its remedy. The check writes a small node to the server and removes it.
    """
    raise typer.Exit(0 if show(_findings(tiled, config, results), json=json) else 1)


def _findings(tiled: Tiled, config: Config, results: bool) -> Iterator["Finding"]:
    from ainerd.cli import _checks
    from ainerd.results import validate
    from ainerd.technique import Finding

    yield from _checks.versions()
    settings = None
    if config is not None:
        settings = yield from _checks.read(config)
        if settings is not None:
            yield from _checks.storage(settings)
            yield from _checks.technique(settings)
    else:
        yield from _checks.techniques()
    if tiled is None and settings is None:
        if config is None:
            todo = "say where it is: --tiled URL, or --config with an instrument's .toml"
            yield Finding("server", "not checked", todo)
        return
    try:
        with opened(tiled, config) as client:
            yield Finding("server", f"{client.context.api_uri} answers, and takes the key")
            yield from _checks.catalogue(client)
            if results and "ainerd" in client:
                problems = validate(client["ainerd"])
                yield from (Finding("results", problem, REPAIR) for problem in problems)
                if not problems:
                    yield Finding("results", "all as they should be")
    except ValueError as error:
        yield Finding("server", str(error), "start it, or correct its address or the key in the environment")
