"""`ainerd steer`: the agent in a process of its own, with a queueserver's queue for hands."""

from pathlib import Path
from typing import Annotated

import typer

from ainerd.cli._catalog import Tiled, opened
from ainerd.cli._process import log_to_stderr, observing, until_told


def steer(
    config: Annotated[Path, typer.Option(envvar="AINERD_CONFIG", help="Settings of the instrument (.toml).")],
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
    documents: Annotated[
        str, typer.Option(help="Where documents come from, as for ainerd watch; tiled misses nothing.")
    ] = "tiled",
    tiled: Tiled = None,
    json_log: Annotated[bool, typer.Option("--json-log", help="Log lines as JSON.")] = False,
) -> None:
    """Watch runs, and have the queue of an RE Manager measure what is suggested, until n positions, or Ctrl-C.

    People's own items in the queue run in their turn, and the agent learns from their runs.
    """
    import re
    from contextlib import closing

    from bluesky_queueserver_api.zmq import REManagerAPI
    from rich.console import Console

    from ainerd.agent.queueserver import steer as steer_queue
    from ainerd.config import Settings

    if not re.fullmatch(r"tcp://.+:\d+", queueserver):
        raise ValueError(f"--queueserver {queueserver}: give an address such as tcp://127.0.0.1:60615")
    stop = until_told()
    log_to_stderr(as_json=json_log)
    console = Console(stderr=True)
    settings = Settings.load(config)
    with opened(tiled, config) as client, closing(REManagerAPI(zmq_control_addr=queueserver)) as manager:
        try:
            with observing(settings, client) as observer:
                console.print(f"{settings.name} steers {queueserver}: Ctrl-C ends it", markup=False, highlight=False)
                uids = steer_queue(observer, manager, detector=detector, n=n, plan=plan, documents=documents, stop=stop)
                measured = f"{len(uids)} position{'s' * (len(uids) != 1)} measured"
                console.print(f"{measured}; {observer.optimizer.should_stop()[1]}", markup=False, highlight=False)
        except (manager.RequestFailedError, manager.RequestTimeoutError) as error:
            raise ValueError(f"RE Manager at {queueserver}: {error}") from None
