"""`ainerd steer`: the agent in a process of its own, which measures by the queue of a queueserver."""

import sys
from typing import Annotated

import typer

from ainerd.cli._catalog import Tiled
from ainerd.cli._process import Instrument, JsonLog, observing


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
    documents: Annotated[
        str, typer.Option(help="Where documents come from, as for ainerd watch; tiled misses nothing.")
    ] = "tiled",
    tiled: Tiled = None,
    json_log: JsonLog = False,
) -> None:
    """Watch runs, and have the queue of an RE Manager measure what is suggested, until n positions, or Ctrl-C.

    People's own items in the queue run in their turn, and the agent learns from their runs.
    """
    import re
    from contextlib import closing

    from bluesky_queueserver_api.zmq import REManagerAPI

    from ainerd.agent.queueserver import steer as steer_queue

    if not re.fullmatch(r"tcp://.+:\d+", queueserver):
        raise ValueError(f"--queueserver {queueserver}: give an address such as tcp://127.0.0.1:60615")
    with closing(REManagerAPI(zmq_control_addr=queueserver)) as manager:
        try:
            with observing(config, tiled, f"steers {queueserver}", json_log=json_log) as (observer, stop):
                uids = steer_queue(observer, manager, detector=detector, n=n, plan=plan, documents=documents, stop=stop)
                measured = f"{len(uids)} position{'s' * (len(uids) != 1)} measured"
                print(f"{measured}; {observer.optimizer.should_stop()[1]}", file=sys.stderr)
        except (manager.RequestFailedError, manager.RequestTimeoutError) as error:
            raise ValueError(f"RE Manager at {queueserver}: {error}") from None
