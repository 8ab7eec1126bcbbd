"""The modules of a detector in several processes: each reads, screens and correlates the events of its modules.

The first process is the one that analyses the run. It sends its steps to the others, and they do the same with their
pixels (`ainerd_xpcs.numerics._team`). In the end it takes their sums, and has the numbers that it would have had alone.
"""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from ainerd_xpcs.numerics._event_screen import EventScreen
from ainerd_xpcs.numerics._events import Events
from ainerd_xpcs.numerics._multitau import MultiTau
from ainerd_xpcs.numerics._partition import Array, Partition
from ainerd_xpcs.numerics._rigaku import FRAMES, Order, RigakuReader, Viewer, module_files
from ainerd_xpcs.numerics._screen import Screened
from ainerd_xpcs.numerics._team import ALONE, Do, First, Other, Team
from ainerd_xpcs.numerics._two_time import TwoTimeReducer

GONE_S = 5.0  # to wait for a process to end


class ModulesReader:
    """Reads the files of one exposure of several modules in several processes; complete files only.

    Its events have a team. `EventScreen`, `TwoTimeReducer` and `MultiTau` of the other processes take theirs when this
    process calls ``events.team.order(Do.PUSH, …)``, and end with `FINISH`.

    Parameters
    ----------
    path, partition, order, block
        As for `read_rigaku`.
    processes : int
        Number of processes with this one; no more than there are files.
    reduction : mapping
        Options of the other processes' `TwoTimeReducer`.

    Raises
    ------
    EventFileError
        If a file is missing.
    ValueError
        If the partition has the shape of neither detector.
    """

    def __init__(
        self, path: Path, partition: Partition, *, order: Order, processes: int, reduction: Mapping[str, Any],
        block: int = FRAMES,
    ) -> None:  # fmt: skip
        self._block = block
        files, _ = module_files(path, partition.shape)
        shares = _shared_out([Path(name).stat().st_size if Path(name).is_file() else 0 for name in files], processes)
        self._reader = RigakuReader(path, partition, order=order, block=block, modules=shares[0])
        spawn, connections, others = get_context("spawn"), list[Connection](), list[Callable[[], str]]()
        for share in shares[1:]:
            mine, theirs = spawn.Pipe()
            arguments = theirs, path, partition, order, block, share, dict(reduction)
            process = spawn.Process(target=_follow, args=arguments, daemon=True)
            process.start()
            theirs.close()
            connections.append(mine)
            name = f"process {len(connections) + 1} of {len(shares)}, which reads "
            name += ", ".join(Path(files[i]).name for i in share)
            others.append(partial(_why, process, name))
        self._team = First(self._reader.own, connections, others) if others else ALONE
        self._reader.team = self._team

    def close(self) -> None:
        """Close the files; the other processes end with the last user of their team."""
        self._reader.close()

    def reaches(self, stop: int) -> bool:
        """Return whether each file holds an event of frame `stop` - 1 or of a later one."""
        self._team.order(Do.REACH, stop)
        return self._reader.reaches(stop)

    def blocks(self, start: int, stop: int, viewer: Viewer | None = None, first: int = 0) -> Iterator[Events]:
        """Yield frames `start` to `stop` - 1 as `RigakuReader.blocks` does."""
        every = 0 if viewer is None else viewer.every or 0
        while start < stop:
            end = min(start // self._block * self._block + self._block, stop)
            self._team.order(Do.READ, start, end, every, first)
            blocks = self._reader.blocks(start, end, _Wholes(self._team, every, viewer), first)
            yield next(blocks).listed_by_team()
            self._team.order(Do.WHOLE)
            for _ in blocks:  # gives whole frames
                pass
            start = end

    def check_ends(self, n_frames: int) -> None:
        """Raise EventFileError as `RigakuReader.check_ends` does."""
        self._team.order(Do.CHECK, n_frames)
        self._reader.check_ends(n_frames)


def _why(process: Any, name: str) -> str:
    """Return how another process has ended."""
    process.join(GONE_S)
    code = process.exitcode
    return (
        f"{name}, {'does not answer' if code is None else f'ended with exit code {code}'}: analyse with fewer processes"
    )


def _shared_out(sizes: list[int], n: int) -> list[list[int]]:
    """Return the modules of each of at most `n` processes, so that their files are about equally large."""
    shares: list[list[int]] = [[] for _ in range(min(n, len(sizes)))]
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        min(shares, key=lambda share: (sum(sizes[j] for j in share), len(share))).append(i)
    return [sorted(share) for share in shares]


class _Wholes:
    """Gives whole frames, added up over all processes, to a viewer of the first one."""

    def __init__(self, team: Team, every: int, viewer: Viewer | None = None) -> None:
        self.every = every or None
        self._team, self._viewer = team, viewer

    def whole(self, frame: Array, number: int) -> None:
        frame = self._team.total(frame)
        if self._viewer is not None:
            self._viewer.whole(frame, number)


def _follow(
    first: Connection, path: Path, partition: Partition, order: Order, block: int, modules: list[int],
    reduction: dict[str, Any],
) -> None:  # fmt: skip
    """Execute the orders of the first process until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process gets it too, and ends this one
    team = Other(np.zeros(0, np.int64), first)
    try:
        reader = RigakuReader(path, partition, order=order, block=block, modules=modules)
        team = reader.team = Other(reader.own, first)
        _Follower(reader, team, partition, reduction).run()
    except EOFError:
        pass
    except (OSError, ValueError, MemoryError) as error:
        team.fail(str(error))


class _Follower:
    """Another process than the first."""

    def __init__(self, reader: RigakuReader, team: Other, partition: Partition, reduction: dict[str, Any]) -> None:
        self._reader, self._team, self._partition, self._reduction = reader, team, partition, reduction
        self._begin(None)

    def run(self) -> None:
        """Execute the orders of the first process. Raises EOFError when that process ends."""
        blocks, events = iter(list[Events]()), list[Events]()
        while True:
            match self._team.next_order():
                case Do.READ, start, end, every, first:
                    blocks = self._reader.blocks(start, end, _Wholes(self._team, every), first)
                    events = [next(blocks).listed_by_team()]
                case Do.WHOLE, *_:
                    for _ in blocks:
                        pass
                case Do.REACH, stop, *_:
                    self._reader.reaches(stop)
                case Do.CHECK, n_frames, *_:
                    self._reader.check_ends(n_frames)
                case Do.PUSH, first, n_frames, is_new, _:
                    if is_new:
                        self._begin(None if n_frames < 0 else n_frames)
                    self._push(events[0].moved(first))
                case Do.FINISH, *_:
                    self._finish()

    def _begin(self, n_frames: int | None) -> None:
        self._screen, self._correlator = EventScreen(self._partition, n_frames), MultiTau(self._partition)
        self._reducer = TwoTimeReducer(self._partition, n_frames, **self._reduction)

    def _push(self, events: Events) -> None:
        with suppress(ValueError):  # the first process raises it too
            self._correlate(self._screen.push(events))

    def _finish(self) -> None:
        with suppress(ValueError):
            self._correlate(self._screen.flush())
            self._reducer.collect()
            self._correlator.collect()

    def _correlate(self, ready: list[Screened]) -> None:
        for screened in ready:
            screened.to(self._reducer, self._correlator)
