"""Documents of runs as they appear in Tiled: whoever joins late misses nothing."""

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import httpx
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.queries import Key

from ainerd.documents._elsewhere import AWAY
from ainerd.documents._quiet import Quiet
from ainerd.documents._replay import RunReader
from ainerd.documents._wire import Document

logger = logging.getLogger(__name__)

OPEN_S = 0.3  # between two looks at runs that go on
IDLE_S = 2.0  # between two looks for new runs, where the server does not tell
AWAY_S = 5.0  # between two attempts to reach a server that is away
REFUSALS = 3  # of one run, one after the other, while others are read
NO_RUN = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # what reading another node gives


def tiled_documents(
    raw: Container,
    stop: threading.Event,
    *,
    since: float = 0.0,
    skip: Callable[[Container], bool] = lambda run: False,
    patience_s: float = 600.0,
) -> Iterator[Document]:
    """Documents of the runs in a catalogue, the oldest first, then of those that come, until `stop` is set.

    What is there is found by search and read from the nodes, so that nothing depends on having been there in time; the
    server's stream of changes, where it has one, only says when to look. A run that grows is followed. One that has not
    changed for `patience_s` while later runs ended was left by its RunEngine: it gets a stop document that says so.
    A node that is no run, or cannot be read, is left out and named once in the log; if its start was given, it gets a
    stop document that says so.
    Only runs are taken that started after `since`, in seconds since 1970, and that are not to `skip`.
    """
    open_runs: dict[str, _OpenRun] = {}
    refused: Counter[str] = Counter()
    ended: set[str] = set()
    with _Wake(raw) as wake:
        while not stop.is_set():
            pause = OPEN_S
            try:
                for uid, run in raw.search(Key("start.time") > since).sort(("start.time", 1)).items():
                    if uid in ended:
                        continue
                    try:
                        if uid not in open_runs:
                            if skip(run):
                                ended.add(uid)
                                continue
                            open_runs[uid] = _OpenRun()
                        yield from open_runs[uid].news(run, abandoned_s=patience_s if ended else float("inf"))
                        is_over = open_runs[uid].is_over
                        del refused[uid]
                    except (*NO_RUN, httpx.HTTPStatusError) as error:  # others write into a catalogue too
                        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in AWAY:
                            raise
                        refused[uid] += 1
                        is_over = refused[uid] >= REFUSALS  # no passing fault
                        if is_over:
                            why = "Tiled cannot read it" if isinstance(error, httpx.HTTPError) else "it is no run"
                            logger.warning("%s is left out, %s: %s: %s", uid, why, type(error).__name__, error)
                            if uid in open_runs:
                                yield from open_runs[uid].failed(f"it cannot be read: {type(error).__name__}: {error}")
                    if is_over:
                        ended.add(uid)
                        open_runs.pop(uid, None)
                        del refused[uid]
                    if stop.is_set():
                        return
                if not (open_runs or refused):
                    pause = IDLE_S
            except (httpx.HTTPError, ClientError) as error:
                logger.warning("Tiled is away: %s", error)
                pause = AWAY_S
            wake.wait(pause, stop)


class _OpenRun:
    """One run that is being followed."""

    def __init__(self) -> None:
        self._reader = RunReader()
        self._quiet = Quiet()
        self.is_over = False

    def news(self, run: Container, *, abandoned_s: float) -> Iterator[Document]:
        last = run.metadata.get("stop")
        if not isinstance(last, Mapping | None):
            raise TypeError("its stop is no document")
        for document in self._reader.news(run) if last is None else self._reader.rest(run):
            self._quiet.over()
            yield document
        if last is None and self._quiet.look() > abandoned_s:
            yield from self._reader.rest(run)
            yield from self.failed(f"nothing came for {abandoned_s:.0f} s, and no stop document")
        elif last is not None:
            self.is_over = True
            yield "stop", dict(last)

    def failed(self, reason: str) -> Iterator[Document]:
        """A stop document that says why there is no other; none if its start was not given."""
        self.is_over = True
        if self._reader.uid is not None:
            about = {"uid": str(uuid.uuid4()), "run_start": self._reader.uid, "time": time.time()}
            yield "stop", about | {"exit_status": "fail", "reason": reason}


class _Wake:
    """Waits until a run is added, where the server says so, but no longer than asked."""

    def __init__(self, raw: Container) -> None:
        self._raw, self._new = raw, threading.Event()

    def __enter__(self) -> "_Wake":
        self._subscription = None
        try:
            self._subscription = self._raw.subscribe()
            self._subscription.child_created.add_callback(self._tell)
            self._subscription.start_in_thread()
        except Exception as error:  # whatever a server without a stream answers
            logger.info("no stream of changes (%s): looking every %.0f s", error, IDLE_S)
        return self

    def _tell(self, update: object) -> None:
        self._new.set()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        until = time.monotonic() + seconds
        while not stop.is_set() and not self._new.wait(0.1) and time.monotonic() < until:
            pass
        self._new.clear()

    def __exit__(self, *exc: object) -> None:
        if self._subscription is not None:
            self._subscription.disconnect()
