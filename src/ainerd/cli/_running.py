"""`ainerd watch`, `serve` and `demo`, which run an agent or a server; `next` asks a running agent."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from platformdirs import user_cache_path

import ainerd
from ainerd.cli._shared import Config, Json, Tiled, check_folder, opened, results_at, settings_at, stopping
from ainerd.words import plain_address, runnable

if TYPE_CHECKING:
    import threading

    from ainerd.agent import Observer

Instrument = Annotated[Path, typer.Option(envvar="AINERD_CONFIG", help="Settings of the instrument (.toml).")]
Documents = Annotated[
    str,
    typer.Option(
        "--documents",
        "--source",
        help="Where documents come from: tiled (all runs that are written there), tiled:DATE "
        "(those since then), zmq://host:port (a proxy), kafka://host:port/topic, folder:PATH (acquisitions of "
        "a beamline without documents), results:FOLDER (two-time maps of a pipeline), or a .jsonl file or a folder "
        "of them.",
    ),
]


def watch(
    config: Instrument,
    documents: Documents = "tiled",
    once: Annotated[bool, typer.Option("--once", help="End when a catalog or a folder has nothing new.")] = False,
    tiled: Tiled = None,
) -> None:
    """Watch runs, write their results to Tiled, and keep the next suggestion ready there, until Ctrl-C.

    After a crash the same command continues: with --documents tiled, folder:PATH or results:FOLDER it analyses every
    run exactly once.
    """
    from ainerd.config import Settings

    Settings.load(config)  # a mistake there is found before more is imported
    from ainerd.sources import open_source

    source = open_source(documents)
    with observing(config, tiled, f"watches {documents}") as (observer, stop):
        observer.suggest()  # so that the first suggestion is ready at once
        observer.follow(source, stop, once=once)


def serve(
    directory: Annotated[Path | None, typer.Argument(help="Folder of the server, such as a copy.")] = None,
    frames: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="Folder that it may read; can be repeated."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the campaign's page in a browser.")] = False,
    config: Config = None,
) -> None:
    """Run the embedded Tiled server of a folder, or of an instrument's settings, until Ctrl-C.

    Sessions with the same settings use this server. It keeps its port, and after Ctrl-C it runs until the last session
    closes.
    """
    import logging

    from ainerd.config import Settings
    from ainerd.server import EmbeddedServer, ServerError

    readable = frames or []
    if directory is not None:
        if not directory.is_dir():
            raise ValueError(f"{directory} is not a folder: give that of an embedded server, or --config")
        check_folder(directory, may_be_empty=True)
    elif config is not None:
        storage = Settings.load(config).storage
        if storage.uri:
            raise ValueError(
                f"{config} names a server, {plain_address(storage.uri)}, which others run: ainerd serve runs an "
                "embedded server only, for settings with an empty storage.uri"
            )
        directory, readable = storage.directory, [*storage.frames, *readable]
        storage.create_directory()
    else:
        raise ValueError("which server? give its FOLDER, or --config with an instrument's .toml")
    stop = stopping()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    try:
        with EmbeddedServer.start(directory, readable_storage=readable) as server:
            begun = "Tiled serves" if server.owned else "Tiled keeps running, as long as this command, for"
            text = f"""{begun} {server.directory}
  at       {server.uri.removesuffix("/api/v1")}   (its key is in {server.directory / "api_key"})
  page     {server.page}   (open it in a browser)
  python   from ainerd.server import EmbeddedServer
           client = EmbeddedServer.start("{server.directory}").client()
  shell    {runnable("ainerd status")} --tiled {server.directory}
Ctrl-C ends it, unless a session still uses it."""
            print(text, flush=True)
            if open_page:
                import webbrowser

                if not webbrowser.open(server.page.as_uri()):
                    print("no browser could be started here", flush=True)
            stop.wait()
    except ServerError as error:
        raise ValueError(str(error)) from None


@contextmanager
def observing(config: Path, tiled: str | None, what: str) -> "Iterator[tuple[Observer, threading.Event]]":
    """Open an agent without devices, and an event that Ctrl-C or SIGTERM sets. At the end wait for all analyses."""
    import logging

    from ainerd.agent import build_observer

    stop = stopping()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = settings_at(tiled, config)
    with opened(None, None, storage=settings.storage) as client:
        observer = build_observer(settings, client)
        try:
            if not observer.steers:
                raise ValueError(f"{observer.status()['reads']}: end it, and start this command again")
            observer.warm_up()
            print(f"{settings.name} {what}: Ctrl-C ends it", file=sys.stderr, flush=True)
            yield observer, stop
            while not observer.drain():
                pass
        except RuntimeError as error:
            if observer.steers:
                raise
            raise ValueError(str(error)) from None  # another session has taken over
        finally:
            observer.close()


def fetch_next(
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result of the position fetched before.")] = False,
    timeout: Annotated[float, typer.Option(min=1, max=86_400, help="How long to wait, in s.")] = 600.0,
    agent: Annotated[str | None, typer.Option(help="Name of the agent; default: that of the settings.")] = None,
    json: Json = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Fetch the next position, for a script that measures without Bluesky: one line for each actuator.

    Its suggestion gets the status taken. It is measured when an acquisition of that position has its result, and
    superseded if another position is fetched before. Exit code 2 and a reason if there is no position. A request that
    got no answer in time, or that Ctrl-C ends, is withdrawn.
    """
    from ainerd.config import Settings
    from ainerd.results import AgentNode, commands

    name = agent or ("" if config is None else Settings.load(config).name)
    if not name:
        raise ValueError("whose next position? give --agent, or --config with an instrument's .toml")
    command = commands.Next(by="script", wait_s=timeout if wait else 0.0)
    within_s = timeout + commands.ANSWER_S if wait else min(timeout, commands.ANSWER_S)
    with results_at(tiled, config) as store:
        answer = AgentNode(store.container, name).ask(command, within_s)
    if answer["status"] != "done":
        raise ValueError(f"agent {name!r} has no next position: {answer['answer']}")
    if json:
        import json as as_json

        print(as_json.dumps({key: answer[key] for key in ("suggestion", "position", "reason")}))
        return
    for actuator, x in answer["position"].items():
        print(f"{actuator} {x:.12g}")  # six digits would move a motor that counts in nm to another spot
    print(answer["reason"], file=sys.stderr)


def demo(
    replay: Annotated[
        bool, typer.Option("--replay", help="Analyse eight recorded exposures, instead of new ones of a new sample.")
    ] = False,
    browser: Annotated[
        bool, typer.Option(help="With --replay: open the page of the campaign in a browser, and serve it until Ctrl-C.")
    ] = True,
    seed: Annotated[int | None, typer.Option(help="Seed of the sample; a random one by default.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for everything that it writes; by default one in the user's cache.")
    ] = None,
) -> None:
    """Let an agent explore a simulated sample, on a Tiled server of its own; 1.5 GB at most, 0.1 GB with --replay."""
    if replay and seed is not None:
        raise ValueError("--replay has one recorded sample: leave --seed out")
    from ainerd.server import ServerError

    sys.path.insert(0, str(_simulated()))
    output = user_cache_path("ainerd") / "demo" if output is None else output
    try:
        if replay:
            import_module("agents.demo.recording").replay(output, browser=browser)
        else:
            import_module("agents.demo.campaign").explore(seed, output)
    except ServerError as error:
        raise ValueError(str(error)) from None


def _simulated() -> Path:
    """Return the folder with the simulated instrument: in the wheel one of the package, or the repository itself."""
    package = Path(ainerd.__file__).parent
    for folder in (package / "simulated", package.parents[1]):
        if (folder / "sim_devices").is_dir():
            return folder
    raise ValueError(f"the simulated instrument is not beside {package}: install ainerd from its wheel")
