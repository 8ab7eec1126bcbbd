"""The option ``--dask``: work on the workers of a Dask cluster."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Annotated, Any

import typer

CONNECT_S = 10
MOST = 256  # tasks that the scheduler holds at a time
RETRIES = 2  # of a task after an error with another cause than its runs, such as the network

Dask = Annotated[
    str | None,
    typer.Option("--dask", help="Work on Dask: local, a worker for each core, or tcp://host:port of a scheduler."),
]


@contextmanager
def mapping(address: str | None) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield `map`, or the `map` of Dask's workers, which returns the same in the same order.

    Those of ``local`` are started, one for each core, and end with the work.

    Raises
    ------
    ValueError
        If no scheduler answers at the address, or the extra ``dask`` is missing.

    Examples
    --------
    >>> with mapping(None) as run:  # mapping("local") runs it in other processes
    ...     print([*run(abs, [-1, 2])])
    [1, 2]
    """
    if address is None:
        yield map
        return
    with _workers(address) as workers:
        yield workers.map


def completed(
    address: str, task: Callable[[str], Any], names: Iterable[str]
) -> Iterator[tuple[str, "Future[Any] | None"]]:
    """Yield each name and the future of its task, as the tasks end on Dask's workers; see `mapping`.

    Dask repeats the tasks of a worker that died. A task over which several workers died has no future.
    """
    from distributed import KilledWorker

    left, running = iter(names), dict[Future[Any], str]()
    with _workers(address) as workers:
        while True:
            running |= {workers.submit(task, name): name for name in islice(left, MOST - len(running))}
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                has_died = isinstance(future.exception(), KilledWorker)
                yield running.pop(future), None if has_died else future


@contextmanager
def _workers(address: str) -> Iterator[Executor]:
    """Connect to the workers of Dask, or start some, and print the address of their dashboard."""
    import dask

    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise ValueError(f"--dask needs more than the agent: pip install 'ainerd[dask]' ({error})") from None
    refusal = f"no Dask scheduler answers at {address!r}: give local, or tcp://host:port"
    with ExitStack() as stack:
        scheduler: object = address
        if address == "local":
            stack.enter_context(dask.config.set({"distributed.scheduler.worker-saturation": 1.0}))  # none die together
            scheduler = stack.enter_context(LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0"))
        elif not re.fullmatch(r"\w+://.+:\d+", address):  # Dask's own error would print a traceback at its clean-up
            raise ValueError(refusal)
        try:
            client = stack.enter_context(Client(scheduler, timeout=CONNECT_S, set_as_default=False))
        except (OSError, ValueError) as error:
            raise ValueError(f"{refusal}: {error}") from None
        print(f"ainerd: the dashboard of Dask is at {client.dashboard_link}", file=sys.stderr)
        yield stack.enter_context(client.get_executor(pure=False, retries=RETRIES))
