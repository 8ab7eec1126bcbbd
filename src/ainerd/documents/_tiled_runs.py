"""The documents of runs in Tiled, rebuilt from their nodes, for finished runs and for growing runs."""

import itertools
import math
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from event_model import unpack_datum_page, unpack_event_page
from tiled.queries import Key

from ainerd.documents._document import Document

if TYPE_CHECKING:
    from tiled.client.container import Container

LIVE_S = 86400.0  # age up to which a run of databroker without an end is read; later it counts as left behind
LEAST_S, SHARE = 1.0, 0.1  # between two reads of such a run, and most of the time that reading may take
LONGEST_S = 10.0  # longest time between two looks, unless the process was suspended or cut off from its server


def documents_of(run: "Container") -> Iterator[Document]:
    """Yield the documents of a finished run, in the order of `RunReader.rest`, or as databroker keeps them.

    Raises KeyError if the run has no stop document.

    Examples
    --------
    >>> from ainerd.runs import write_run
    >>> write_run(client["raw"], documents)
    >>> uid = documents[0][1]["uid"]
    >>> [name for name, document in documents_of(client["raw"][uid])]
    ['start', 'descriptor', 'event', 'event', 'event', 'event', 'event', 'stream_resource', 'stream_datum', 'stop']
    """
    stop = run.metadata["stop"]
    if stop is None:  # in a catalog of databroker
        raise KeyError("stop")
    yield from RunReader().rest(run)
    yield "stop", stop


class RunReader:
    """Reads one run as documents. Each part is read once.

    `BlueskyRun.documents` of bluesky-tiled-plugins 2.0 needs these plugins in the server, and a run that has ended.
    """

    def __init__(self) -> None:
        self.is_over = False  # whether the run has ended: `follow` yielded a stop document, or `failed` was called
        self._uid: str | None = None  # of the run; None before its start document
        self._descriptors: dict[str, Any] = {}  # metadata of streams by name
        self._tables: dict[str, Any] = {}  # nodes of the events by stream
        self._shown: dict[str, int] = {}  # indices by resource
        self._seen: set[tuple[str, str]] = set()  # documents of databroker
        self._due = -math.inf  # time of their next read
        self._quiet = Quiet()

    def news(self, run: "Container", *, is_over: bool = False) -> Iterator[Document]:
        """Yield the start document, descriptors and frames that are new since the last call.

        The frames of a stream with other readings are yielded once the run `is_over`: Tiled has their events then.
        A run of databroker has all its new documents but the last, events at the end and in order. Its server gives the
        last event only with the next one, or with the end of the run (databroker 2.0, ``batch_documents``).
        """
        if self.is_of_databroker(run):
            yield from self._of_databroker(run, is_over=is_over)
            return
        if self._uid is None:
            start, tags = run.metadata["start"], run.item["attributes"].get("access_tags")
            self._uid = start["uid"]
            yield "start", {**start, "tiled_access_tags": [*tags]} if tags else start
        for name, stream in self.streams_of(run):
            if name not in self._descriptors:
                about = self._descriptors[name] = stream.metadata
                yield "descriptor", {"run_start": self._uid, "name": name, "object_keys": {}, **about}
            parts = dict(stream.base.items())
            self._tables[name] = parts.get("internal")
            for key in set(self._descriptors[name]["data_keys"]) & set(parts):
                if is_over or not _is_table(self._descriptors[name]):  # else frames are read with their events
                    yield from self._frames(parts[key], name, key)

    def _of_databroker(self, run: "Container", *, is_over: bool) -> Iterator[Document]:
        start, ended, began = run.metadata["start"], run.metadata.get("stop") is not None, time.monotonic()
        if not ended and (time.time() - start["time"] > LIVE_S or (began < self._due and not is_over)):
            return
        for _ in range(4):
            documents = [*_singles((name, dict(doc)) for name, doc in run.documents(fill=False))]
            if not ended or documents[-1][0] == "stop":
                break
            time.sleep(1.0)  # a server caches the values of a growing run for 2 s
        documents = [each for each in documents if each[0] != "stop"]
        self._uid, now = start["uid"], time.monotonic()
        self._due = now + max(LEAST_S, (now - began) / SHARE)
        new = [each for each in documents if (each[0], _id(each[1])) not in self._seen]
        self._seen.update((name, _id(doc)) for name, doc in new)
        yield from (document for document in new if document[0] != "event")
        yield from (("event", event) for event in _in_order(doc for name, doc in new if name == "event"))

    def rest(self, run: "Container") -> Iterator[Document]:
        """Yield the remaining documents of a run that ended: descriptors, events, then frames.

        The events come first because an analysis needs the readings before the frames. They contain only scalars. One
        StreamDatum announces the frames of each data source. If any part cannot be read, nothing is yielded, and the
        next call starts again at the same place.
        """
        before = self._uid, dict(self._descriptors), dict(self._shown), set(self._seen)
        try:
            new = list(self.news(run, is_over=True))
            events = {about["uid"]: self._events(name) for name, about in self._descriptors.items()}
        except BaseException:
            self._uid, self._descriptors, self._shown, self._seen = before
            raise
        yield from (document for document in new if not document[0].startswith("stream_"))
        for event in itertools.chain.from_iterable(events.values()):
            yield "event", event
        for name, doc in new:
            if name == "stream_datum":
                yield from _numbered(doc, [event["seq_num"] for event in events[doc["descriptor"]]])
            elif name == "stream_resource":
                yield name, doc

    def follow(self, run: "Container", *, abandoned_s: float) -> Iterator[Document]:
        """Yield the new documents of a growing run. After `abandoned_s` without any, yield a stop document."""
        last = run.metadata.get("stop")
        if not isinstance(last, Mapping | None):
            raise TypeError("its stop is no document")
        for document in self.news(run) if last is None else self.rest(run):
            self._quiet.over()
            yield document
        if last is not None:
            self.is_over = True
            yield "stop", dict(last)
        elif self._quiet.look() > abandoned_s:
            yield from self.ended(run, f"nothing came for {abandoned_s:.0f} s, and no stop document")

    def ended(self, run: "Container", reason: str) -> Iterator[Document]:
        """Yield the remaining documents of a run without an end, and a stop document with the reason."""
        yield from self.rest(run)
        yield from self.failed(reason)

    def failed(self, reason: str) -> Iterator[Document]:
        """Yield a stop document with the reason, if the start document has been yielded."""
        self.is_over = True
        if self._uid is not None:
            stop = {"uid": str(uuid.uuid4()), "run_start": self._uid, "time": time.time()}
            yield "stop", stop | {"exit_status": "fail", "reason": reason}

    @staticmethod
    def streams_of(run: "Container") -> Iterator[tuple[str, Any]]:
        """Yield the name and node of each stream of a run. Other nodes, such as a preview, are left out.

        One request reads all of them. The run's own client would ask for each stream.
        """
        from tiled.client.container import Container

        nodes = Container(
            run.context, item=run.item, structure_clients=run.structure_clients, include_data_sources=True
        )
        for name, node in nodes.items():
            keys = node.metadata.get("data_keys")
            if isinstance(keys, Mapping) and "uid" in node.metadata and hasattr(node, "base"):
                yield name, node

    @staticmethod
    def runs_by_time(raw: "Container", since: float | None = None, *, newest_first: bool = False) -> "Container":
        """Return the runs of a catalog that started after `since`, in seconds since 1970, by default oldest first."""
        # metadata of databroker's runs are searched without "start"
        key = "time" if RunReader.is_of_databroker(raw) else "start.time"
        return (raw if since is None else raw.search(Key(key) > since)).sort((key, -1 if newest_first else 1))

    @staticmethod
    def is_of_databroker(node: "Container") -> bool:
        """Return whether a catalog is one of databroker, or a run in it, which keeps the documents themselves.

        Such a catalog serves them with Resource and Datum, as the RunEngine emitted them (databroker 2.0,
        ``mongo_normalized.py``). Runs of TiledWriter have version 3 of the spec.
        """
        kinds = "BlueskyRun", "CatalogOfBlueskyRuns"
        return any(spec.name in kinds and str(spec.version).partition(".")[0] in ("1", "2") for spec in node.specs)

    def _events(self, stream: str) -> list[dict[str, Any]]:
        """Return the events of a stream. Tiled gets their tables in batches, so they are read at the end of a run."""
        about, table = self._descriptors[stream], self._tables[stream]
        rows = [] if table is None else table.read().to_dict("records")
        keys = [key for key in about["data_keys"] if rows and key in rows[0] and f"ts_{key}" in rows[0]]
        events = []
        for row in rows:
            event = {name: row[name] for name in ("seq_num", "time")}
            event |= {"uid": str(uuid.uuid4()), "descriptor": about["uid"], "filled": {}}
            data, times = {key: row[key] for key in keys}, {key: row[f"ts_{key}"] for key in keys}
            events.append(event | {"data": data, "timestamps": times})
        return _in_order(events)

    def _frames(self, node: Any, stream: str, key: str) -> Iterator[Document]:
        shape: list[object] = self._descriptors[stream]["data_keys"][key].get("shape") or []
        # the TiledWriter of bluesky itself joins the frames of all indices, by "concat"
        is_joined = len(shape) == len(node.shape) and isinstance(shape[0], int) and shape[0] > 1
        per_index = shape[0] if is_joined else 1
        stop = node.shape[0] // per_index
        for number, source in enumerate(node.data_sources()):
            files = [asset.data_uri for asset in source.assets]
            resource = f"{self._uid}/{stream}/{key}/{number}"
            if resource not in self._shown:
                self._shown[resource] = 0
                yield (
                    "stream_resource",
                    {
                        "uid": resource,
                        "run_start": self._uid,
                        "data_key": key,
                        "mimetype": source.parameters.get("mimetype", source.mimetype),  # of a Rigaku, Tiled knows none
                        "uri": files[0] if len(files) == 1 else node.uri,  # only Tiled knows the file of each frame
                        "parameters": dict(source.parameters),
                    },
                )
            shown, self._shown[resource] = self._shown[resource], max(stop, self._shown[resource])
            if stop > shown:
                yield (
                    "stream_datum",
                    {
                        "uid": f"{resource}/{shown}",
                        "descriptor": self._descriptors[stream]["uid"],
                        "stream_resource": resource,
                        "indices": {"start": shown, "stop": stop},
                        "seq_nums": {"start": 0, "stop": 0},  # not known
                    },
                )


def _singles(documents: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield documents, and those of pages one by one."""
    pages = {"event_page": unpack_event_page, "datum_page": unpack_datum_page}
    for name, doc in documents:
        for each in pages[name](doc) if name in pages else [doc]:
            yield name.removesuffix("_page"), each


def _id(doc: Mapping[str, object]) -> str:
    return str(doc["datum_id"] if "datum_id" in doc else doc["uid"])


def _in_order(events: Iterable[dict[str, Any]]) -> list[dict[str, object]]:
    """Return the events of each stream by their numbers. An event that a database gives twice counts once.

    After a pause the RunEngine takes its last events again, with their numbers; such events stay in their places.
    """
    streams: dict[str, dict[tuple[int, float], dict[str, object]]] = defaultdict(dict)
    for event in events:
        streams[event["descriptor"]].setdefault((event["seq_num"], event["time"]), event)
    ordered: list[dict[str, object]] = []
    for stream in streams.values():
        is_repeated = len({number for number, _ in stream}) < len(stream)
        ordered += stream.values() if is_repeated else (stream[key] for key in sorted(stream))
    return ordered


def _numbered(datum: dict[str, Any], numbers: list[int]) -> Iterator[Document]:
    """Yield a StreamDatum for each range of consecutive sequence `numbers`, if each index has one."""
    start, stop = datum["indices"]["start"], datum["indices"]["stop"]
    if len(numbers) != stop:
        yield "stream_datum", datum
        return
    cuts = [start, *(i for i in range(start + 1, stop) if numbers[i] != numbers[i - 1] + 1), stop]
    for first, last in itertools.pairwise(cuts):
        of_range = {"indices": {"start": first, "stop": last}}
        of_range |= {"seq_nums": {"start": numbers[first], "stop": numbers[first] + last - first}}
        yield "stream_datum", {**datum, "uid": f"{datum['uid']}/{first}", **of_range}


def _is_table(described: Mapping[str, Any]) -> bool:
    """Return whether the events of a stream have readings, which are in a table."""
    return any("external" not in key for key in described["data_keys"].values())


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
