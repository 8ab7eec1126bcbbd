"""The findings of `ainerd check`. Each is one line, and a problem comes with its remedy."""

import os
import shutil
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from tiled.client.container import Container

from ainerd.cli._shared import opened
from ainerd.config import Settings, SettingsError
from ainerd.processes import whereabouts
from ainerd.results import TiledError, translated
from ainerd.technique import Finding
from ainerd.words import plain_address

FREE_GB = 5.0  # a night of exposures needs more


def settings(config: Path) -> Generator[Finding, None, Settings | None]:
    """Yield the findings for a settings file, its folders and its technique; return the settings if they are valid.

    No function that the file names is loaded: a file of somebody else may name any.
    """
    try:
        loaded = Settings.load(config)
    except SettingsError as error:
        for line in str(error).splitlines():
            yield Finding("settings", line, "correct the file, or the environment")
        return None
    yield Finding("settings", f"{config}: instrument {loaded.name!r}")
    yield from _storage(loaded)
    if url := loaded.webhook.get_secret_value():  # its path may hold a token
        yield Finding("webhook", f"messages go to {urlsplit(url).hostname}; nothing was sent")
    yield from _technique(loaded)
    return loaded


def picture(config: Path, draw: Path, frame: Path | None, dataset: str | None) -> Iterator[Finding]:
    """Yield the findings for a settings file, and draw the parts of a frame that its technique uses."""
    from matplotlib.figure import Figure

    from ainerd.agent import build_technique
    from ainerd.cli._check import mean_frame

    loaded = yield from settings(config)
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


def server(config: Path) -> Iterator[Finding]:
    """Yield the findings for the Tiled server of a settings file."""
    try:
        with opened(None, config) as client:
            yield Finding("server", f"{plain_address(str(client.context.api_uri))} answers, and accepts the key")
            yield from _catalogue(client)
    except ValueError as error:
        yield Finding("server", str(error), "start it, or correct its address or the key in the environment")


def _storage(settings: Settings) -> Iterator[Finding]:
    """Check that the folders in the settings exist, are readable or writable, and have free space."""
    user = whereabouts()["user"]  # its number if it has no name, as in containers
    for frames in settings.storage.frames:
        there = _nearest(frames)
        if there.is_dir() and not os.access(there, os.X_OK | (os.R_OK if there == frames else 0)):
            state, remedy = f"cannot be read by {user}", "let that user read it, and enter the folders above it"
        elif there != frames or not there.is_dir():
            state, remedy = "is not a folder", "mount it or make it, or change storage.frames"
        else:
            state, remedy = "is readable", ""
        yield Finding("storage.frames", f"{frames} {state}", remedy)
    directory = settings.storage.directory
    there = _nearest(directory)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("storage.directory", f"{there} cannot be written to by {user}", "change it, or its rights")
    else:
        yield Finding("storage.directory", f"{directory} {'is writable' if there == directory else 'can be made'}")
    yield from _unwritten(settings.storage.unwritten, directory / "unwritten")
    for path in {os.stat(p).st_dev: p for p in (there, *settings.storage.frames) if os.path.exists(p)}.values():
        free = shutil.disk_usage(path).free / 1e9
        remedy = "" if free >= FREE_GB else f"free some: an agent needs {FREE_GB:g} GB"
        yield Finding("disk", f"{free:.0f} GB free at {path}", remedy)


def _unwritten(own: Path, every: Path) -> Iterator[Finding]:
    """Report raw runs that the server of the settings did not take, and those for other servers."""
    if not os.path.isdir(every):  # it does not exist, or may not be entered
        return
    for folder in sorted({own, every, *every.iterdir()}):
        if n := len([*folder.glob("*.jsonl")]):
            of, what = (
                ("these settings", "") if folder == own else ("the settings of that server", ", for another server")
            )
            remedy = f"start a session with {of} while Tiled answers: agent.catch_up() writes them"
            yield Finding(f"unwritten raw runs{what}", f"{n} in {folder}", remedy)


def _nearest(path: Path) -> Path:
    """Return a path, or its nearest parent that can be seen: `Path.exists` raises where one may not be entered."""
    return next(each for each in (path, *path.parents) if os.path.exists(each))


def _technique(settings: Settings) -> Iterator[Finding]:
    """Check that the technique accepts its section of the settings, and run the technique's own checks."""
    what, remedy = f"technique {settings.technique}", f"correct [{settings.technique}] in the file, or the environment"
    try:
        from ainerd.agent import build_technique, recorded_keys
        from ainerd.results import digest
        from ainerd.runs import parameters_of

        built = build_technique(settings)
        parameters = parameters_of(built, settings.detector)
        yield Finding(what, f"accepts its section; digest of its results {digest(parameters)}")
    except ModuleNotFoundError as error:
        yield Finding(what, f"not checked: {error}")
        return
    except ValueError as error:
        yield from (Finding(what, line.removeprefix(f"{what}: "), remedy) for line in str(error).splitlines())
        return
    try:
        recorded_keys(settings)
    except SettingsError as error:
        yield Finding("settings", str(error), "correct the file")
    try:
        for finding in built.check():
            yield Finding(finding.subject, finding.state, finding.remedy)
    except Exception as error:  # code of a third party
        yield Finding(what, f"its check ended with {type(error).__name__}: {error}", "report it to its maintainers")
    yield from _steering(settings)


def _steering(settings: Settings) -> Iterator[Finding]:
    """Report a policy that does not exist."""
    from ainerd.campaign import policy_of

    try:
        policy_of(settings.steering, runs=False)
    except ValueError as error:
        name, _, problem = str(error).partition(": ")
        yield Finding(name, problem, "correct its name, or install its package")


def _catalogue(client: Container) -> Iterator[Finding]:
    """Check the containers on the server, and that the API key allows reading and writing."""
    begun = time.perf_counter()
    trees = {name: client[name] for name in ("raw", "ainerd") if name in client}
    took = f"{1000 * (time.perf_counter() - begun):.0f} ms"
    if len(trees) == 2:
        yield Finding("read", f"{len(trees['raw'])} runs, {len(trees['ainerd']['results'])} results ({took})")
    else:
        yield Finding("read", f"no containers raw and ainerd yet: the first agent makes them ({took})")
    try:
        with translated():
            finding = _write(trees.get("ainerd", client))
        yield finding
    except TiledError as error:
        remedy = "give a key that may create, write and delete; a key that may only read is enough to see results"
        yield Finding("write", f"refused: {error}", remedy)


def _write(parent: Container) -> Finding:
    """Write a small node, read it back and remove it."""
    key, begun = f"check-{uuid.uuid4()}", time.perf_counter()
    node = parent.create_container(key, metadata={"written_by": "ainerd check"})
    try:
        node.write_array(np.arange(4.0), key="array")
        is_same = node["array"].read().tolist() == [0, 1, 2, 3]
    finally:
        parent.delete_contents(key, recursive=True, external_only=False)
    if not is_same:
        return Finding("write", "an array came back changed", "look at the server's storage and its log")
    took = 1000 * (time.perf_counter() - begun)
    return Finding("write", f"a small node was written, read and removed ({took:.0f} ms)")
