"""A bell for each agent: it rings when a command comes, so that an agent need not ask all the time.

The bells are in the memory of one server process: an agent of a server that may have several asks each second as well.
"""

import asyncio
import re
import secrets
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

MOST_BELLS = 1000  # of a server; those to which nobody listens give way to others
_AGENT = re.compile(r"(.*/)?agents/[0-9a-f]{1,128}")  # path of the node of an agent
# Where a program leaves a command: a node below that of the agent.
_LEFT = re.compile(r"/api/v1/metadata/(.*?agents/[0-9a-f]{1,128})/?")
_bells: "WeakKeyDictionary[Any, dict[str, _Bell]]" = WeakKeyDictionary()  # by the loop of the server


class _Bell:
    def __init__(self) -> None:
        self.id, self.n, self.listeners, self.rings = secrets.token_hex(4), 0, 0, asyncio.Event()

    @property
    def cursor(self) -> str:
        return f"{self.id}-{self.n}"


def ring(path: str) -> None:
    """Ring the bell of the agent whose node is at `path`, if anybody listens. Called in the loop of the server."""
    if (bell := _bells.get(asyncio.get_running_loop(), {}).get(_plain(path))) is not None:
        bell.n += 1
        bell.rings.set()
        bell.rings = asyncio.Event()


def ring_after(method: str, route: str) -> None:
    """Ring after a request that has left a command."""
    if method == "POST" and (left := _LEFT.fullmatch(route)) is not None:
        ring(left[1])


async def rung(path: str, after: str, wait_s: float) -> str:
    """Wait until the bell of an agent rings, for `wait_s` at most, and return a cursor.

    Return at once if it has rung since the cursor `after`, or if that is empty. The cursor of another process of the
    server does not count. Raises LookupError if no node of an agent can be at `path`.
    """
    bells, path = _bells.setdefault(asyncio.get_running_loop(), {}), _plain(path)
    if _AGENT.fullmatch(path) is None:
        raise LookupError(path)
    if path not in bells and len(bells) >= MOST_BELLS:
        unused = next((each for each, bell in bells.items() if not bell.listeners), None)
        if unused is None:
            await asyncio.sleep(wait_s)
            return after
        del bells[unused]
    bell = bells.setdefault(path, _Bell())
    if after == bell.cursor or (after and after.partition("-")[0] != bell.id):
        bell.listeners += 1
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.rings.wait(), wait_s)
        finally:
            bell.listeners -= 1
    return bell.cursor


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part)
