"""The option ``--executor``: work in other processes, on a Dask cluster, or on an executor of `concurrent.futures`."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from multiprocessing import get_context
from typing import Annotated, Any

import typer

CONNECT_S = 10
RETRIES = 2  # of a Dask task after an error with another cause than its runs, such as the network

On = Annotated[
    str | None,
    typer.Option("--executor", help="process, dask, dask:tcp://host:port, or module:factory of an executor."),
]


@contextmanager
def executor(name: str) -> Iterator[Executor]:
    """Start the executor of a name, and shut it down at the end, after the work that was given to it.

    Parameters
    ----------
    name : str
        ``process``, a process for each core; ``dask``, a Dask worker for each core; ``dask:tcp://host:port``, the
        workers of that scheduler; or ``module:factory``, where ``factory()`` returns a `concurrent.futures.Executor`.

    Raises
    ------
    ValueError
        If there is no such executor, no scheduler answers, or the extra ``dask`` is missing.

    Examples
    --------
    >>> with executor("concurrent.futures:ThreadPoolExecutor") as pool:
    ...     [*pool.map(abs, [-1, 2])]
    [1, 2]
    """
    with ExitStack() as stack:
        if name == "process":
            pool: Executor = ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), _finish_on_interrupt)
        elif name == "dask" or name.startswith("dask:"):
            pool = _dask(name.partition(":")[2], stack)
        else:
            pool = _made(name)
        yield stack.enter_context(pool)


@contextmanager
def mapping(name: str | None) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield `map`, or the `map` of an executor, which returns the same in the same order.

    Examples
    --------
    >>> with mapping(None) as run:  # mapping("process") runs it in other processes
    ...     print([*run(abs, [-1, 2])])
    [1, 2]
    """
    if name is None:
        yield map
        return
    with executor(name) as pool:
        yield pool.map


def worker_died(error: BaseException | None) -> bool:
    """Return whether the exception of a future says that the process of its worker ended."""
    distributed = sys.modules.get("distributed")
    return isinstance(error, (BrokenExecutor, *([distributed.KilledWorker] if distributed else [])))


def _finish_on_interrupt() -> None:
    """Let a worker finish its work after Ctrl-C, which the terminal sends to all processes of a command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _dask(address: str, stack: ExitStack) -> Executor:
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise ValueError(f"--executor dask needs more than the agent: pip install 'ainerd[dask]' ({error})") from None
    refusal = f"no Dask scheduler answers at {address!r}, give dask:tcp://host:port"
    scheduler: Any = address
    if not address:
        scheduler = stack.enter_context(LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0"))
    elif not re.fullmatch(r"\w+://.+:\d+", address):  # Dask's own error would print a traceback at its clean-up
        raise ValueError(refusal)
    try:
        client = stack.enter_context(Client(scheduler, timeout=CONNECT_S, set_as_default=False))
    except (OSError, ValueError) as error:
        raise ValueError(f"{refusal}: {error}") from None
    if not client.nthreads():
        print("the cluster has no workers yet: waiting for some", file=sys.stderr, flush=True)
    pool: Executor = client.get_executor(pure=False, retries=RETRIES)
    return pool


def _made(name: str) -> Executor:
    """Return the executor that ``module:factory`` makes."""
    module, _, factory = name.partition(":")
    if not (module and factory):
        raise ValueError(f"no executor {name!r}: give process, dask, dask:tcp://host:port, or module:factory")
    try:
        made = getattr(import_module(module), factory)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"--executor {name}: {error}") from None
    if not isinstance(made, Executor):
        kind = type(made).__name__
        raise ValueError(f"--executor {name}: {factory}() returns {kind}, not a concurrent.futures.Executor")
    return made
