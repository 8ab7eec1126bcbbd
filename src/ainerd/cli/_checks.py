"""Checks of `ainerd doctor` and `ainerd check`. Each finding is one line."""

import os
import shutil
import time
import uuid
from collections.abc import Generator, Iterator
from getpass import getuser
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from ainerd.technique import Finding, TechniqueError, load, names

if TYPE_CHECKING:
    from tiled.client.container import Container

    from ainerd.config import Settings

FREE_GB = 5.0  # a night of exposures needs more
SPECS = {"results": "AinerdResult", "suggestions": "AinerdSuggestion", "atlas": "AinerdAtlas", "log": "AinerdLog"}


def versions() -> Iterator[Finding]:
    """Compare the installed packages with the version ranges that ainerd and its extra `agent` require."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in metadata.requires("ainerd") or []]
    for extra in ("", "agent"):
        named = [r for r in wanted if (r.marker.evaluate({"extra": extra}) if r.marker else not extra)]
        found = {r: _version(r.name) for r in named}
        wrong = [
            f"{r.name} {v}, not {r.specifier}" for r, v in found.items() if v and not r.specifier.contains(v, True)
        ]
        missing = [r.name for r, v in found.items() if not v]
        what, install = ("packages of the agent", "'ainerd[agent]'") if extra else ("packages", "ainerd")
        if extra and "torch" in missing:
            yield Finding(what, "not installed: results can be read, runs cannot be analysed")
        elif wrong or missing:
            problems = "; ".join([*wrong, *(f"{name} is missing" for name in missing)])
            yield Finding(what, problems, f"pip install -U {install}")
        else:
            yield Finding(what, f"{len(named)} within their ranges")


def read(config: Path) -> Generator[Finding, None, "Settings | None"]:
    """Yield the findings for a settings file, and return the settings, or None if they are invalid."""
    from ainerd.config import Settings, SettingsError

    try:
        settings = Settings.load(config)
    except SettingsError as error:
        todo = "correct the file, or the environment"
        yield from (Finding("settings", line, todo) for line in str(error).splitlines())
        return None
    yield Finding("settings", f"{config}: instrument {settings.name!r}")
    return settings


def storage(settings: "Settings") -> Iterator[Finding]:
    """Check that the folders in the settings exist, are readable or writable, and have free space."""
    for frames in settings.storage.frames:
        if not frames.is_dir():
            state, todo = "is not a folder", "mount it or make it, or change storage.frames"
        elif not os.access(frames, os.R_OK | os.X_OK):
            state, todo = f"cannot be read by {getuser()}", "let that user read it"
        else:
            state, todo = "is readable", ""
        yield Finding("storage.frames", f"{frames} {state}", todo)
    directory = settings.storage.directory
    there = next(path for path in (directory, *directory.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("storage.directory", f"{there} cannot be written to by {getuser()}", "change it, or its rights")
    else:
        yield Finding("storage.directory", f"{directory} {'is writable' if there == directory else 'can be made'}")
    for folder, what in ((directory / "unwritten", "raw runs"), (directory / "unwritten" / "results", "results")):
        if n := len(list(folder.glob("*.jsonl"))):
            todo = "start an agent with these settings while Tiled answers: it writes them"
            yield Finding(f"unwritten {what}", f"{n} in {folder}", todo)
    for path in {os.stat(p).st_dev: p for p in (there, *settings.storage.frames) if p.exists()}.values():
        free = shutil.disk_usage(path).free / 1e9
        todo = "" if free >= FREE_GB else f"free some: an agent needs {FREE_GB:g} GB"
        yield Finding("disk", f"{free:.0f} GB free at {path}", todo)


def techniques() -> Iterator[Finding]:
    """Check that all installed techniques can be imported."""
    for name in names():
        try:
            yield Finding(f"technique {name}", (load(name).__doc__ or "").partition("\n")[0] or "no description")
        except TechniqueError as error:
            if isinstance(error.__cause__, ModuleNotFoundError) and util.find_spec("torch") is None:
                yield Finding(f"technique {name}", f"not checked: {error}")  # a light install, which `versions` reports
            else:
                yield Finding(f"technique {name}", str(error), "install what it needs, or remove it")


def technique(settings: "Settings") -> Iterator[Finding]:
    """Check that the technique accepts its section of the settings, and run the technique's own checks."""
    what, todo = f"technique {settings.technique}", f"correct technique, [{settings.technique}], or the environment"
    try:
        from ainerd.agent import build_technique
        from ainerd.results import digest

        built = build_technique(settings)
        yield Finding(what, f"accepts its section; digest of its results {digest(built.parameters)}")
    except ModuleNotFoundError as error:
        yield Finding(what, f"not checked: {error}")
        return
    except ValueError as error:
        yield from (Finding(what, line.removeprefix(f"{what}: "), todo) for line in str(error).splitlines())
        return
    try:
        for finding in built.check():
            yield Finding(finding.what, finding.said, finding.todo)
    except Exception as error:  # code of a third party
        yield Finding(what, f"its check ended with {type(error).__name__}: {error}", "tell whoever maintains it")


def catalogue(client: "Container") -> Iterator[Finding]:
    """Check the containers and specs on the server, and that the API key allows reading and writing."""
    import httpx

    begun = time.perf_counter()
    trees = {name: client[name] for name in ("raw", "ainerd") if name in client}
    took = f"{1000 * (time.perf_counter() - begun):.0f} ms"
    if len(trees) == 2:
        yield Finding("read", f"{len(trees['raw'])} runs, {len(trees['ainerd']['results'])} results ({took})")
        yield from _specs(trees["ainerd"])
    else:
        yield Finding("read", f"no containers raw and ainerd yet: the first agent makes them ({took})")
    try:
        yield _write(trees.get("ainerd", client))
    except (httpx.HTTPError, KeyError) as error:
        yield Finding(
            "write", f"refused: {error}", "give a key that may create, write and delete; reading needs none of it"
        )


def _specs(ainerd: "Container") -> Iterator[Finding]:
    from ainerd.results import SPEC_VERSION

    newest = {what: node for what in SPECS if what in ainerd for node in ainerd[what].values().tail(1)}
    found = {spec.name: spec.version for node in newest.values() for spec in node.specs if spec.name in SPECS.values()}
    other = [f"{name} {version}" for name, version in found.items() if version != SPEC_VERSION]
    present = ", ".join(f"{name} {version}" for name, version in found.items()) or "nothing there yet"
    todo = f"this ainerd knows version {SPEC_VERSION}: install the one that wrote {', '.join(other)}" if other else ""
    yield Finding("specs", present, todo)


def _write(parent: "Container") -> Finding:
    """Write a small node, read it back and remove it."""
    import numpy as np

    key, begun = f"doctor-{uuid.uuid4()}", time.perf_counter()
    node = parent.create_container(key, metadata={"written_by": "ainerd doctor"})
    try:
        node.write_array(np.arange(4.0), key="array")
        same = node["array"].read().tolist() == [0, 1, 2, 3]
    finally:
        parent.delete_contents(key, recursive=True, external_only=False)
    took = 1000 * (time.perf_counter() - begun)
    if not same:
        return Finding("write", "an array came back changed", "look at the server's storage and its log")
    return Finding("write", f"a small node was written, read and removed ({took:.0f} ms)")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
