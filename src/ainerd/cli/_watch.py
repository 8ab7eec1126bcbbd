"""`ainerd watch`: the agent in a process of its own."""

from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli._catalog import Tiled
from ainerd.cli._process import Instrument, JsonLog, observing

if TYPE_CHECKING:
    from ainerd.agent import Observer


def watch(
    config: Instrument,
    documents: Annotated[
        str,
        typer.Option(
            help="Where documents come from: tiled (follow the runs that are written there), zmq://host:port (a "
            "proxy), zmq+bind://127.0.0.1:port, kafka://host:port/topic, or a .jsonl file or a folder of them."
        ),
    ] = "tiled",
    tiled: Tiled = None,
    metrics: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1 where Prometheus finds how the agent is.")
    ] = None,
    json_log: JsonLog = False,
) -> None:
    """Watch runs, write what they are to Tiled, and keep the next suggestion ready there, until Ctrl-C.

    On the RunEngine's side `ainerd.agent.explore_remote` takes the suggestions up. After a crash the same command goes
    on: with --documents tiled no run is missed, each is analysed once.
    """
    with observing(config, tiled, f"watches {documents}", json_log=json_log) as (observer, stop):
        if metrics is not None:
            _serve(observer, metrics)
        observer.suggest()  # one is ready from the start
        observer.follow(documents, stop)


def _serve(observer: "Observer", port: int) -> None:
    """Numbers of `Observer.health` for Prometheus, asked for when it asks."""
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.metrics_core import GaugeMetricFamily
    from prometheus_client.registry import Collector

    class Health(Collector):
        def collect(self) -> Iterator[GaugeMetricFamily]:
            for name, value in observer.health().items():
                if isinstance(value, int | float):
                    yield GaugeMetricFamily(f"ainerd_{name}", f"{name} of the agent", value=value)

    registry = CollectorRegistry()
    registry.register(Health())
    start_http_server(port, addr="127.0.0.1", registry=registry)
