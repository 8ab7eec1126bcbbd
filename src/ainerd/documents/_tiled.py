"""Rebuild the documents of runs from their nodes in Tiled, for finished runs and for growing runs."""

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pandas as pd
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.queries import Key

from ainerd.documents._wire import Document

logger = logging.getLogger(__name__)

PAUSES_S = (0.1, 0.5, 1.0)  # before reading a table again that has fewer events than its run
AWAY = (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT)
OPEN_S = 0.3  # between two reads of growing runs
IDLE_S = 2.0  # between two searches for new runs, if the server does not announce them
AWAY_S = 5.0  # between two attempts to reach a server that does not answer
REFUSALS = 3  # after this many failed reads in a row a run is left out
NO_RUN = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # raised when a node is not a run
LONGEST_S = 10.0  # longest time between two looks, unless the process was suspended or cut off from its server


def documents_of(run: Container) -> Iterator[Document]:
    """Yield the documents of a finished run, in the order of `RunReader.rest`.

    Raises KeyError if the run has no stop document.
    """
    stop = run.metadata["stop"]
    yield from RunReader().rest(run)
    yield "stop", stop


def streams_of(run: Container) -> Iterator[tuple[str, Any]]:
    """Yield the name and node of each stream of a run. Other nodes, such as a preview, are left out."""
    for name in run:
        node = run[name]
        keys = node.metadata.get("data_keys")
        if isinstance(keys, Mapping) and "uid" in node.metadata and hasattr(node, "base"):
            yield name, node


class RunReader:
    """Reads one run as documents. Each part is read once."""

    def __init__(self) -> None:
        self.uid: str | None = None  # of the run; None before its start document
        self._descriptors: dict[str, Any] = {}  # metadata of streams by name
        self._shown: dict[str, int] = {}  # indices by resource

    def news(self, run: Container) -> Iterator[Document]:
        """Yield the start document, descriptors and frames that are new since the last call."""
        if self.uid is None:
            start = run.metadata["start"]
            self.uid = start["uid"]
            yield "start", start
        for name, stream in streams_of(run):
            if name not in self._descriptors:
                about = self._descriptors[name] = stream.metadata
                yield "descriptor", {"run_start": self.uid, "name": name, "object_keys": {}, **about}
            for key in set(self._descriptors[name]["data_keys"]) & set(stream.base):
                yield from self._frames(stream.base[key], name, key)

    def rest(self, run: Container) -> Iterator[Document]:
        """Yield the remaining documents of a run that ended: descriptors, events, then frames.

        The events come first because an analysis needs the readings before the frames. They contain only scalars. One
        StreamDatum announces the frames of each data source. If any part cannot be read, nothing is yielded, and the
        next call starts again at the same place.
        """
        before = self.uid, dict(self._descriptors), dict(self._shown)
        try:
            new = list(self.news(run))
            events = sorted(self._events(run), key=lambda document: document[1]["time"])
        except BaseException:
            self.uid, self._descriptors, self._shown = before
            raise
        yield from (document for document in new if not document[0].startswith("stream_"))
        yield from events
        yield from (document for document in new if document[0].startswith("stream_"))

    def _events(self, run: Container) -> Iterator[Document]:
        """Yield all events by stream. Tiled gets their tables in batches, so they are read at the end of a run."""
        counts = (run.metadata.get("stop") or {}).get("num_events")
        for name, about in self._descriptors.items():
            n = counts.get(name) if isinstance(counts, Mapping) else None
            is_table = any("external" not in key for key in about["data_keys"].values())
            table = _whole_table(run, name, n if isinstance(n, int) and is_table else 0)
            keys = [key for key in about["data_keys"] if key in table and f"ts_{key}" in table]
            for row in table.to_dict("records"):
                event = {name: row[name] for name in ("seq_num", "time")}
                event |= {"uid": str(uuid.uuid4()), "descriptor": about["uid"], "filled": {}}
                data, times = {key: row[key] for key in keys}, {key: row[f"ts_{key}"] for key in keys}
                yield "event", event | {"data": data, "timestamps": times}

    def _frames(self, node: Any, stream: str, key: str) -> Iterator[Document]:
        stop = node.shape[0]
        for number, source in enumerate(node.include_data_sources().data_sources()):
            files = [asset.data_uri for asset in source.assets]
            resource = f"{self.uid}/{stream}/{key}/{number}"
            if resource not in self._shown:
                about = {"uid": resource, "run_start": self.uid, "data_key": key, "mimetype": source.mimetype}
                uri = files[0] if len(files) == 1 else node.uri  # only Tiled knows the file of each frame
                about |= {"uri": uri, "parameters": dict(source.parameters)}
                self._shown[resource] = 0
                yield "stream_resource", about
            shown = self._shown[resource]
            if stop > shown:
                self._shown[resource] = stop
                datum = {"uid": f"{resource}/{shown}", "descriptor": self._descriptors[stream]["uid"]}
                datum |= {"indices": {"start": shown, "stop": stop}}
                datum |= {"seq_nums": {"start": shown + 1, "stop": stop + 1}}
                yield "stream_datum", datum | {"stream_resource": resource}


def _whole_table(run: Container, stream: str, n: int) -> pd.DataFrame:
    """Read the events of a stream. Read them again while there are fewer than `n`.

    All runs share one table of the server's database. Sometimes this table returned no rows of a run while the rows of
    another run were being written.
    """
    for pause in (*PAUSES_S, None):
        parts = run[stream].base
        table = parts["internal"].read() if "internal" in list(parts) else pd.DataFrame()
        if len(table) >= n or pause is None:
            break
        time.sleep(pause)
    if len(table) < n:
        logger.warning("run %s: %d of %d events of stream %s are in Tiled", run.item["id"], len(table), n, stream)
    return table


class Quiet:
    """Measures how long a follower has looked without news.

    While the process is suspended, for example with its machine, it does not look. The RunEngine that it follows may be
    suspended as well, so this time does not count.
    """

    def __init__(self) -> None:
        self.over()

    def over(self) -> None:
        """Start again at zero, because there is news."""
        self._seconds, self._looked = 0.0, time.monotonic()

    def look(self) -> float:
        """Record a look without news, and return the seconds since the last news."""
        now = time.monotonic()
        self._seconds += min(now - self._looked, LONGEST_S)
        self._looked = now
        return self._seconds


def tiled_documents(
    raw: Container,
    stop: threading.Event,
    *,
    since: float = 0.0,
    skip: Callable[[Container], bool] = lambda run: False,
    patience_s: float = 600.0,
) -> Iterator[Document]:
    """Yield the documents of the runs in a catalog, oldest first, then of new runs, until `stop` is set.

    A search finds the runs, and their documents are read from their nodes, so that no run is missed. The server's
    stream of changes only triggers a search. Growing runs are followed. A run that has not changed for `patience_s`
    while later runs ended was abandoned by its RunEngine; it gets a stop document with that reason. A node that is not
    a run, or cannot be read, is left out and logged once. If its start document was yielded, a stop document with the
    reason follows. Runs that started before `since`, in seconds since 1970, or that `skip` accepts, are left out.
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
                    except (*NO_RUN, httpx.HTTPStatusError) as error:  # other programs write to the catalog as well
                        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in AWAY:
                            raise
                        refused[uid] += 1
                        is_over = refused[uid] >= REFUSALS  # not a temporary fault
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
    """Follows one growing run."""

    def __init__(self) -> None:
        self._reader = RunReader()
        self._quiet = Quiet()
        self.is_over = False

    def news(self, run: Container, *, abandoned_s: float) -> Iterator[Document]:
        """Yield the new documents. After `abandoned_s` without any, yield a stop document."""
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
        """Yield a stop document with the reason, if the start document has been yielded."""
        self.is_over = True
        if self._reader.uid is not None:
            about = {"uid": str(uuid.uuid4()), "run_start": self._reader.uid, "time": time.time()}
            yield "stop", about | {"exit_status": "fail", "reason": reason}


class _Wake:
    """Waits until the server announces a new run, or for a given time."""

    def __init__(self, raw: Container) -> None:
        self._raw, self._new = raw, threading.Event()

    def __enter__(self) -> "_Wake":
        self._subscription = None
        try:
            self._subscription = self._raw.subscribe()
            self._subscription.child_created.add_callback(self._on_new_run)
            self._subscription.start_in_thread()
        except Exception as error:  # any error: the server may not have a stream of changes
            logger.info("no stream of changes (%s): looking every %.0f s", error, IDLE_S)
        return self

    def _on_new_run(self, update: object) -> None:
        self._new.set()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        until = time.monotonic() + seconds
        while not stop.is_set() and not self._new.wait(0.1) and time.monotonic() < until:
            pass
        self._new.clear()

    def __exit__(self, *exc: object) -> None:
        if self._subscription is not None:
            self._subscription.disconnect()
