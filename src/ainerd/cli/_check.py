"""`ainerd check`: check settings, technique and server. Each finding is a line; a problem comes with its remedy."""

import os
import shutil
import time
import uuid
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ainerd.cli._mean_frame import mean_frame
from ainerd.cli._shared import Json, opened
from ainerd.words import plain_address

if TYPE_CHECKING:
    from tiled.client.container import Container

    from ainerd.config import Settings
    from ainerd.technique import Finding, Technique

Dataset = Annotated[str | None, typer.Option(help="Frames in that file; without it the largest dataset.")]
FREE_GB = 5.0  # a night of exposures needs more


def check(
    config: Annotated[Path, typer.Argument(help="Settings of an instrument (.toml).")],
    draw: Annotated[Path | None, typer.Option(help="Picture (.png, .pdf) of the parts of a frame in use.")] = None,
    frame: Annotated[Path | None, typer.Option(help="Frame to draw on (.npy, HDF5); default: an empty one.")] = None,
    dataset: Dataset = None,
    server: Annotated[bool, typer.Option("--server", help="Check its Tiled server too, with a small node.")] = False,
    json: Json = False,
) -> None:
    """Check settings and technique, and show how to correct problems; exit code 1 if there are any."""
    if frame is not None and draw is None:
        raise ValueError("--frame needs a picture: give --draw picture.png")
    findings = findings_of(config) if draw is None else _picture(config, draw, frame, dataset)
    show(chain(findings, _server(config) if server else ()), json=json)


def show(findings: Iterable["Finding"], *, json: bool = False) -> None:
    """Print the findings, one per line or as JSON, and exit, with code 1 if there is a problem."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    console, shown = Console(soft_wrap=True), []
    for finding in findings:
        shown.append({**asdict(finding), "ok": finding.ok})
        if not json:
            mark = Text("ok      ", "green") if finding.ok else Text("problem ", "bold red")
            console.print(mark, Text(f"{finding.subject}: {' '.join(finding.state.split())}"), sep="")
            if not finding.ok:
                console.print(Text(f"        → {finding.remedy}", "yellow"))
    if json:
        console.print_json(data=shown, indent=None)
    raise typer.Exit(0 if all(each["ok"] for each in shown) else 1)


def findings_of(config: Path) -> "Generator[Finding, None, Settings | None]":
    """Yield the findings for a settings file, its folders and its technique; return the settings if they are valid.

    No function that the file names is loaded: a file of somebody else may name any.
    """
    from ainerd.config import Settings, SettingsError
    from ainerd.technique import Finding

    try:
        loaded = Settings.load(config)
    except SettingsError as error:
        yield from _wrong(str(error))
        return None
    built, problems = _built(loaded)
    problems += [] if problems else _names_and_policy(loaded)  # which imports much
    checks = [] if built is None else [*_technique(built)]
    is_right = not problems and all(each.ok for each in checks)
    yield from problems or [Finding("settings", f"{config}: instrument {loaded.name!r}")] * is_right
    yield from _storage(loaded)
    if url := loaded.webhook.get_secret_value():  # its path may hold a token
        yield Finding("webhook", f"messages go to {urlsplit(url).hostname}; nothing was sent")
    yield from checks
    return loaded


def _wrong(lines: str) -> "Iterator[Finding]":
    from ainerd.technique import Finding

    yield from (Finding("settings", line, "correct the file, or the environment") for line in lines.splitlines())


def _names_and_policy(settings: "Settings") -> "Iterator[Finding]":
    """Yield the problems of names of recorded data, and of the policy."""
    from ainerd.agent import recorded_keys
    from ainerd.campaign import policy_of
    from ainerd.technique import Finding

    try:
        recorded_keys(settings)
    except ValueError as error:
        yield from _wrong(str(error))
    try:
        policy_of(settings.steering, runs=False)
    except ValueError as error:
        name, _, problem = str(error).partition(": ")
        yield Finding(name, problem, "correct its name, or install its package")


def _picture(config: Path, draw: Path, frame: Path | None, dataset: str | None) -> "Iterator[Finding]":
    """Yield the findings for a settings file, and draw the parts of a frame that its technique uses."""
    from matplotlib.figure import Figure

    from ainerd.agent import build_technique
    from ainerd.technique import Finding

    loaded = yield from findings_of(config)
    if loaded is None:
        return
    figure = Figure()
    try:
        build_technique(loaded).sketch(figure, None if frame is None else mean_frame(frame, dataset))
        if figure.axes or figure.subfigs:
            figure.savefig(draw, dpi=150)
            yield Finding("picture", str(draw))
        else:
            yield Finding("picture", f"technique {loaded.technique} draws none", "leave --draw out")
    except (ValueError, OSError) as error:
        yield Finding("picture", str(error), "correct it")


def _server(config: Path) -> "Iterator[Finding]":
    """Yield the findings for the Tiled server of a settings file."""
    from ainerd.technique import Finding

    try:
        with opened(None, config) as client:
            yield Finding("server", f"{plain_address(str(client.context.api_uri))} answers, and accepts the key")
            if "ainerd" in client and "raw" in client:
                yield Finding("read", f"{len(client['raw'])} runs, {len(client['ainerd']['results'])} results")
            else:
                yield Finding("read", "no containers raw and ainerd yet: the first agent makes them")
            lacks = [*_scopes(client)]
            yield from lacks or [_write(client["ainerd"] if "ainerd" in client else client)]
    except ValueError as error:
        yield Finding("server", str(error), "start it, or correct its address or the key in the environment")


def _storage(settings: "Settings") -> "Iterator[Finding]":
    """Check that the folders in the settings exist, are readable or writable, and have free space."""
    from ainerd.processes import whereabouts
    from ainerd.technique import Finding

    user = whereabouts()["user"]  # its number if it has no name, as in containers
    for frames in settings.storage.frames:
        can_be_read = os.access(frames, os.R_OK | os.X_OK) and frames.is_dir()
        remedy = "" if can_be_read else "mount it or make it, give that user the rights, or change storage.frames"
        state = "is readable" if can_be_read else f"is not a folder that {user} can read"
        yield Finding("storage.frames", f"{frames} {state}", remedy)
    directory = settings.storage.directory
    there = next(each for each in (directory, *directory.parents) if os.path.exists(each))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("storage.directory", f"{there} cannot be written to by {user}", "change it, or its rights")
    else:
        yield Finding("storage.directory", f"{directory} {'is writable' if there == directory else 'can be made'}")
    unwritten = settings.storage.unwritten
    if n := len([*unwritten.glob("*.jsonl")]) if os.path.isdir(unwritten) else 0:
        remedy = "start a session while Tiled answers: agent.catch_up() writes them"
        yield Finding("unwritten raw runs", f"{n} in {unwritten}", remedy)
    for path in {os.stat(p).st_dev: p for p in (there, *settings.storage.frames) if os.path.exists(p)}.values():
        free = shutil.disk_usage(path).free / 1e9
        remedy = "" if free >= FREE_GB else f"free some: an agent needs {FREE_GB:g} GB"
        yield Finding("disk", f"{free:.0f} GB free at {path}", remedy)


def _built(settings: "Settings") -> "tuple[Technique | None, list[Finding]]":
    """Return the technique, or None and the problems of its section."""
    from ainerd.technique import Finding, load

    what, remedy = f"technique {settings.technique}", f"correct [{settings.technique}] in the file, or the environment"
    try:
        return load(settings.technique).from_settings(settings.section, settings.folder), []
    except (ValueError, OSError) as error:
        text = str(error)
    except Exception as error:  # code of a third party
        text = f"{type(error).__name__}: {error}"
    return None, [Finding(what, line, remedy) for line in text.splitlines()]


def _technique(technique: "Technique") -> "Iterator[Finding]":
    """Yield the technique's own checks."""
    from ainerd.technique import Finding

    what = f"technique {technique.name}"
    yield Finding(what, "accepts its section")
    try:
        yield from technique.check()
    except Exception as error:  # code of a third party
        yield Finding(what, f"its check ended with {type(error).__name__}: {error}", "report it to its maintainers")


def _scopes(client: "Container") -> "Iterator[Finding]":
    """Yield a problem for each scope of an agent that the key lacks, as far as the server tells the scopes of a key."""
    from ainerd.server import SCOPES
    from ainerd.technique import Finding

    context = client.context
    has = context.which_api_key()["scopes"] if context.api_key and context.server_info.authentication.links else SCOPES
    for scope in [] if "inherit" in has else [scope for scope in SCOPES if scope not in has]:
        yield Finding("key", f"lacks the scope {scope}", "give a key with it; any key is enough to see results")


def _write(parent: "Container") -> "Finding":
    """Write a small node, read it, and remove it."""
    from ainerd.results import TiledError, translated
    from ainerd.technique import Finding

    key, begun, remedy = f"check-{uuid.uuid4()}", time.perf_counter(), ""
    try:
        with translated():
            node = parent.create_container(key, metadata={"written_by": "ainerd check"})
            try:
                node.write_array([0.0, 1.0, 2.0], key="array").read()
            finally:
                remedy = f": remove the node {key}"
                parent.delete_contents(key, recursive=True, external_only=False)
                remedy = ""
    except TiledError as error:
        remedy = f"give a key that may create, write, read and delete{remedy}; a key that may only read shows results"
        return Finding("write", f"refused: {error}", remedy)
    return Finding("write", f"a small node was written and removed ({1000 * (time.perf_counter() - begun):.0f} ms)")
