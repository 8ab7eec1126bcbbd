"""The option ``--dask``: work on the workers of a Dask cluster, which needs the extra ``dask``."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
CONNECT_S = 10

Dask = Annotated[str | None, typer.Option(help="Dask cluster: tcp://host:port, or local (these cores).")]


@contextmanager
def cluster(address: str) -> Iterator["Client"]:
    """Connect to the scheduler at an address, or for "local" start one worker for each core of this machine.

    ValueError if none answers, or the extra is missing.
    """
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise ValueError(f"--dask needs more than the agent: pip install 'ainerd[dask]' ({error})") from None
    refusal = f"no Dask scheduler answers at {address!r}, give tcp://host:port"
    with ExitStack() as stack:
        scheduler: Any = address
        if address == LOCAL:
            scheduler = stack.enter_context(LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0"))
        elif not re.fullmatch(r"\w+://.+:\d+", address):  # Dask's own error would print a traceback at its clean-up
            raise ValueError(refusal)
        try:
            client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{refusal}: {error}") from None
        yield stack.enter_context(client)


@contextmanager
def mapping(dask: str | None) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield `map`, or what does the same on the workers of a cluster, in the same order.

    Examples
    --------
    >>> with mapping(None) as run:  # mapping("local") runs it on the workers of a Dask cluster
    ...     print([*run(abs, [-1, 2])])
    [1, 2]
    """
    if dask is None:
        yield map
        return
    with cluster(dask) as client, client.get_executor(pure=False) as pool:
        yield pool.map
