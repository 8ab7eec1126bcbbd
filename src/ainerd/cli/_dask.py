"""The option ``--dask``: work on the workers of a Dask cluster."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import typer

CONNECT_S = 10
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
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise ValueError(f"--dask needs more than the agent: pip install 'ainerd[dask]' ({error})") from None
    refusal = f"no Dask scheduler answers at {address!r}: give local, or tcp://host:port"
    with ExitStack() as stack:
        scheduler: object = address
        if address == "local":
            scheduler = stack.enter_context(LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0"))
        elif not re.fullmatch(r"\w+://.+:\d+", address):  # Dask's own error would print a traceback at its clean-up
            raise ValueError(refusal)
        try:
            client = stack.enter_context(Client(scheduler, timeout=CONNECT_S, set_as_default=False))
        except (OSError, ValueError) as error:
            raise ValueError(f"{refusal}: {error}") from None
        yield stack.enter_context(client.get_executor(pure=False, retries=RETRIES)).map
