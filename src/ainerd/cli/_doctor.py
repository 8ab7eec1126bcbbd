"""`ainerd doctor`: whether everything is as an agent or an analyst needs it."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

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
    """Check versions, settings, technique, storage and server, and say what to do; exit code 1 if there is something.

    On the server a small node is written and removed.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    findings = []
    for finding in _findings(tiled, config, results):
        findings.append(finding)
        if not json:
            mark = Text("ok      ", "green") if finding.ok else Text("problem ", "bold red")
            console.print(mark, Text(f"{finding.what}: {' '.join(finding.said.split())}"), sep="")
            if not finding.ok:
                console.print(Text(f"        → {finding.todo}", "yellow"))
    if json:
        console.print_json(data=[{**asdict(finding), "ok": finding.ok} for finding in findings], indent=None)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def _findings(tiled: Tiled, config: Config, results: bool) -> Iterator["Finding"]:
    from ainerd.cli import _checks
    from ainerd.config import Settings, SettingsError
    from ainerd.results import validate
    from ainerd.technique import Finding

    yield from _checks.versions()
    settings = None
    if config is not None:
        try:
            settings = Settings.load(config)
        except SettingsError as error:
            todo = "correct the file, or the environment"
            yield from (Finding("settings", line, todo) for line in str(error).splitlines())
        else:
            yield Finding("settings", f"{config}: instrument {settings.name!r}")
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
