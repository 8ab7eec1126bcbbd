"""A bell for each agent: it rings when a command comes, so that an agent need not ask for commands all the time.

The bells are in the memory of one server process: an agent of a server with several asks now and then as well.
"""

import asyncio
import re
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

MOST_BELLS = 1000  # of a server; without its bell an agent asks
# A program leaves a command by creating a node below that of the agent.
_COMMAND = re.compile(r"/api/v1/metadata/(.*\bagents/[0-9a-f]+)/?")
_bells: "WeakKeyDictionary[Any, dict[str, _Bell]]" = WeakKeyDictionary()  # by the loop of the server


class _Bell:
    def __init__(self) -> None:
        self.n, self.rings = 0, asyncio.Event()


def ring(path: str) -> None:
    """Ring the bell of the agent whose node is at `path`, if anybody listens. Called in the loop of the server."""
    if (bell := _bells.get(asyncio.get_running_loop(), {}).get(path.strip("/"))) is not None:
        bell.n += 1
        bell.rings.set()
        bell.rings = asyncio.Event()


def ring_after(method: str, route: str) -> None:
    """Ring after a request that has left a command."""
    if method == "POST" and (command := _COMMAND.fullmatch(route)) is not None:
        ring(command[1])


async def rung(path: str, after: int, wait_s: float) -> int:
    """Return how often the bell of an agent has rung, once that differs from `after`, or after `wait_s`."""
    bells, path = _bells.setdefault(asyncio.get_running_loop(), {}), path.strip("/")
    if path not in bells and len(bells) >= MOST_BELLS:
        await asyncio.sleep(wait_s)
        return after
    bell = bells.setdefault(path, _Bell())
    if bell.n == after:
        with suppress(TimeoutError):
            await asyncio.wait_for(bell.rings.wait(), wait_s)
    return bell.n
