"""`ainerd watch`, `steer`, `serve` and `mcp`: commands that run until Ctrl-C, also for days."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli._shared import Config, Tiled, check_folder, opened, results_at, stopping

if TYPE_CHECKING:
    import threading

    from ainerd.agent import Observer

Instrument = Annotated[Path, typer.Option(envvar="AINERD_CONFIG", help="Settings of the instrument (.toml).")]
Documents = Annotated[
    str,
    typer.Option(
        "--documents",
        "--source",
        help="Where documents come from: tiled (all runs that are written there), "
        "zmq://host:port (a proxy), zmq+bind://127.0.0.1:port, kafka://host:port/topic, folder:PATH (acquisitions of "
        "a beamline without documents), or a .jsonl file or a folder of them.",
    ),
]


def watch(
    config: Instrument,
    documents: Documents = "tiled",
    tiled: Tiled = None,
) -> None:
    """Watch runs, write their results to Tiled, and keep the next suggestion ready there, until Ctrl-C.

    The plan `ainerd.agent.explore_remote` measures the suggestions in a RunEngine. After a crash the same command
    continues: with --documents tiled or folder:PATH it analyses every run exactly once.
    """
    from ainerd.sources import open_source

    source = open_source(documents)
    with observing(config, tiled, f"watches {documents}") as (observer, stop):
        observer.suggest()  # so that the first suggestion is ready at once
        observer.follow(source, stop)


def steer(
    config: Instrument,
    detector: Annotated[str, typer.Option(help="Name of the detector in the RE Manager's environment.")],
    queueserver: Annotated[
        str,
        typer.Option(
            envvar="QSERVER_ZMQ_CONTROL_ADDRESS",
            help="Address of the RE Manager; its public key, if it has one: QSERVER_ZMQ_PUBLIC_KEY.",
        ),
    ] = "tcp://127.0.0.1:60615",
    n: Annotated[int | None, typer.Option(min=1, help="Positions; without it, until the sample is explored.")] = None,
    plan: Annotated[str, typer.Option(help="Plan of the RE Manager's environment that measures them.")] = "measure",
    documents: Documents = "tiled",
    tiled: Tiled = None,
) -> None:
    """Watch runs, and add each suggestion to the queue of an RE Manager, until n positions are measured, or Ctrl-C.

    Items that people add to the queue run in their turn, and the agent learns from their runs.
    """
    import re
    from contextlib import closing

    from bluesky_queueserver_api.zmq import REManagerAPI

    from ainerd.agent.queueserver import steer as steer_queue
    from ainerd.words import number_of

    if not re.fullmatch(r"tcp://.+:\d+", queueserver):
        raise ValueError(f"--queueserver {queueserver}: give an address such as tcp://127.0.0.1:60615")
    with closing(REManagerAPI(zmq_control_addr=queueserver)) as manager:
        try:
            with observing(config, tiled, f"steers {queueserver}") as (observer, stop):
                uids = steer_queue(observer, manager, detector=detector, n=n, plan=plan, documents=documents, stop=stop)
                measured = f"{number_of(len(uids), 'position')} measured"
                print(f"{measured}; {observer.optimizer.should_stop()[1]}", file=sys.stderr)
        except (manager.RequestFailedError, manager.RequestTimeoutError) as error:
            raise ValueError(f"RE Manager at {queueserver}: {error}") from None


def serve(
    directory: Annotated[Path | None, typer.Argument(help="Folder of the server, such as a copy.")] = None,
    frames: Annotated[list[Path] | None, typer.Option(help="Folder that it may read; can be repeated.")] = None,
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

    readable, hosts = frames or [], list[str]()
    if directory is not None:
        if not directory.is_dir():
            raise ValueError(f"{directory} is not a folder: give that of an embedded server, or --config")
        check_folder(directory, may_be_empty=True)
    elif config is not None:
        storage = Settings.load(config).storage
        if storage.uri:
            raise ValueError(
                f"{config} names a server, {storage.uri.partition('?')[0]}, which others run: ainerd serve runs an "
                "embedded server only, for settings with an empty storage.uri"
            )
        directory, readable, hosts = storage.directory, [*storage.frames, *readable], storage.hosts
        storage.create_directory()
    else:
        raise ValueError("which server? give its FOLDER, or --config with an instrument's .toml")
    stop = stopping()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    try:
        with EmbeddedServer.start(directory, readable_storage=readable, hosts=hosts) as server:
            address = server.uri.removesuffix("/api/v1")
            begun = "Tiled serves" if server.owned else "Tiled keeps running, as long as this command, for"
            text = f"""{begun} {server.directory}
  at       {address}   (its key is in {server.directory / "api_key"})
  page     {server.page}   (open it in a browser)
  python   from ainerd.server import EmbeddedServer
           client = EmbeddedServer.start("{server.directory}").client()
  shell    ainerd status --tiled {server.directory}
Ctrl-C ends it, unless a session still uses it."""
            print(text, flush=True)
            if open_page:
                import webbrowser

                if not webbrowser.open(server.page.as_uri()):
                    print("no browser could be started here", flush=True)
            stop.wait()
    except ServerError as error:
        raise ValueError(str(error)) from None


def mcp(
    propose: Annotated[bool, typer.Option("--propose", help="Also offer a tool that proposes positions.")] = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Answer questions of a language model by the Model Context Protocol, on stdin and stdout.

    Configure this command in the program that has the language model; the program starts it. The command only reads,
    unless --propose is given.
    """
    with results_at(tiled, config) as store:
        try:
            from ainerd.cli.answers import serving
        except ModuleNotFoundError as error:
            raise ValueError(f"this needs one package more: pip install 'ainerd[mcp]' ({error})") from None
        serving(store, propose=propose).run("stdio")


@contextmanager
def observing(config: Path, tiled: str | None, what: str) -> "Iterator[tuple[Observer, threading.Event]]":
    """Open an agent without devices, and an event that Ctrl-C or SIGTERM sets. At the end wait for all analyses."""
    import logging

    from ainerd.agent import build_observer
    from ainerd.config import Settings

    stop = stopping()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings.load(config)
    with opened(tiled, config) as client:
        observer = build_observer(settings, client)
        try:
            observer.warm_up()
            print(f"{settings.name} {what}: Ctrl-C ends it", file=sys.stderr, flush=True)
            yield observer, stop
            while not observer.drain(1.0):
                pass
        finally:
            observer.close()
