"""`ainerd steer`: measure the suggestions of an agent with the RE Manager of a queue server."""

import re
import sys
from contextlib import closing
from typing import Annotated

import typer

from ainerd.cli import Documents, Instrument, Tiled, observing


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
    from bluesky_queueserver_api.zmq import REManagerAPI

    from ainerd.words import number_of
    from ainerd_queueserver import queue

    if not re.fullmatch(r"tcp://.+:\d+", queueserver):
        raise ValueError(f"--queueserver {queueserver}: give an address such as tcp://127.0.0.1:60615")
    with closing(REManagerAPI(zmq_control_addr=queueserver)) as manager:
        try:
            with observing(config, tiled, f"steers {queueserver}") as (observer, stop):
                uids = queue.steer(observer, manager, detector=detector, n=n, plan=plan, documents=documents, stop=stop)
                measured = f"{number_of(len(uids), 'position')} measured"
                print(f"{measured}; {observer.optimizer.should_stop()[1]}", file=sys.stderr)
        except (manager.RequestFailedError, manager.RequestTimeoutError) as error:
            raise ValueError(f"RE Manager at {queueserver}: {error}") from None
