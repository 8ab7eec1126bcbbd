"""Runs with documents that no instrument should send, and requests that no client should make."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np
from bluesky.run_engine import Dispatcher
from event_model import DocumentNames, compose_run
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.config import Detector
from ainerd.documents import checked
from ainerd.jobs import Jobs
from ainerd.results import ResultStore
from ainerd.runs import RawWriter, RecordedKeys, Spool, Worker, Writer
from ainerd.technique import Analysis, AnalysisError, RunAnalysis, RunInfo, Technique
from studies._hostile_inputs import as_json, changed, changed_by_schema, shown

SHAPE, N = (2, 3), 4
KINDS = ("events", "file", "classic")  # of documents
AWAY, TOGETHER = 5, 50  # runs in a row for which Tiled is away; runs between two waits
LONG_S = 300.0  # on a busy machine
HEAD = {
    "metadata": {"status": "complete", "raw_uid": "a"},
    "specs": [{"name": "AinerdResult", "version": "1.0"}],
    "unless": [],
}


class Sums(Technique):
    """A technique that adds up each frame."""

    name, unit, alpha, embedding_size, regime_width = "sums", "run", 0.05, 2, None
    parameters = {"technique": "sums"}

    def begin(self, run: RunInfo) -> "Sum":
        """Take frames of one shape."""
        if run.frame_shape != SHAPE:
            raise AnalysisError(f"frames of {run.frame_shape}")
        return Sum()


class Sum(RunAnalysis):
    """The sums of the frames of a run."""

    def __init__(self) -> None:
        self.pixels = np.arange(6)
        self._sums: list[float] = []

    def push(self, block: NDArray[Any], first: int) -> None:
        """Add frames."""
        self._sums += np.asarray(block, float).sum(axis=1).tolist()

    def finish(self) -> Analysis:
        """Return the sums."""
        if not self._sums:
            raise AnalysisError("no frames")
        embedding = np.nan_to_num(np.array([len(self._sums), np.mean(self._sums)], np.float32))
        return Analysis(embedding=embedding, novelty_p=None, arrays={"sums": np.array(self._sums)})


class Runs:
    """A worker and a raw writer, a Tiled server that is sometimes away, and the runs that must be in Tiled."""

    def __init__(self, client: Container, raw: Container, ainerd: Container, folder: Path) -> None:
        self._spool, self._frames = folder / "spool", folder / "frames" / "frames.h5"
        self._n, self._is_away = 0, False
        self.expected: dict[str, str] = {}  # the odd part of each run that must have a result
        self._expected_raw: dict[str, str] = {}  # and of each whole run that is not in Tiled yet
        self._wrong: list[str] = []  # raw runs that are lost
        self._results, self._http = ainerd["results"], client.context.http_client
        self._hooks = self._http.event_hooks
        self._http.event_hooks = {**self._hooks, "request": [*self._hooks["request"], self._ask]}
        wanted = RecordedKeys(
            positions=("x",), series={"warmth": "t"}, readings={"age": "t"}, start={"odd": "odd"}, units={"x": "mm"},
        )  # fmt: skip
        self.store = ResultStore(ainerd, agent="hostile")
        keys, self._jobs = Detector(image="det", n_frames="frames"), Jobs()
        writer = Writer(Sums(), self.store, keys, wanted, (self._frames.parent,), "hostile")
        self.worker = Worker(self._jobs, writer, Spool(self._spool, self.store.answers))
        self._raw, self.raw_writer = raw, RawWriter(raw, folder / "raw", self.store.answers)
        self._dispatcher, self._with_raw = Dispatcher(), Dispatcher()  # of RunEngines
        self._dispatcher.subscribe(self.worker)
        for subscriber in (self.worker, self.raw_writer):
            self._with_raw.subscribe(subscriber)
        self._jobs.start()
        self._frames.parent.mkdir()
        with h5py.File(self._frames, "w", libver="latest") as file:
            file["entry/data/data"] = np.ones((N, *SHAPE), np.uint16)

    def give(self, documents: list[list[Any]], to: Dispatcher | None = None) -> str | None:
        """Send the documents of a run to the worker, and return an error if it hangs or dies."""
        dispatcher = to or self._dispatcher
        self._n += 1
        self._is_away = self._n % 200 in range(100, 100 + AWAY)
        for name, doc in documents:
            dispatcher.process(DocumentNames[name], doc)
        if self._n % TOGETHER == 0 or self._is_away:
            return self.wait()
        return None

    def wait(self) -> str | None:
        """Wait for all results, and return an error if the worker hangs or is dead."""
        if not self._jobs.drain(LONG_S):
            return f"not done after {LONG_S:.0f} s"
        self._look_at_raw()
        return None if self.worker.health()["worker"] == "alive" else "the worker is dead"

    def _look_at_raw(self) -> None:
        """Note the raw runs that are neither whole in Tiled nor kept on disk."""
        self.raw_writer.drain()
        if self._is_away:
            return
        kept = "".join(path.stem for path in self.raw_writer.kept())
        for uid, odd in [*self._expected_raw.items()]:
            if uid in self._raw and (self._raw[uid].metadata.get("stop") or {}).get("run_start") == uid:
                del self._expected_raw[uid]
            elif uid not in kept:
                self._wrong.append(f"a raw run is neither in Tiled nor kept ({odd})")
                del self._expected_raw[uid]

    def with_changes(self, drawn: tuple[str, list[Any]]) -> str | None:
        """Send a run with changed documents; one that a RunEngine could have sent must get its result."""
        kind, what = drawn
        original = list(map(list, documents(kind, self._frames)))
        given = [*changed(original, what, lambda document: document[1]), original[-1]]
        return self._expect(original[0][1]["uid"], given, f"{kind}: {shown(what)}")

    def by_schema(self, drawn: tuple[str, list[Any]]) -> str | None:
        """Send a run whose documents differ in keys of the schemas, as a RunEngine sends it to its subscribers."""
        kind, what = drawn
        original = list(map(list, documents(kind, self._frames)))
        given = [*changed_by_schema(original, what), original[-1]]
        return self._expect(original[0][1]["uid"], given, f"{kind}: {shown(what)}", self._with_raw)

    def with_metadata(self, metadata: dict[str, Any]) -> str | None:
        """Send a run with valid documents and arbitrary metadata."""
        given = list(map(list, documents("events", self._frames)))
        given[0][1] = {**given[0][1], **metadata}
        return self._expect(given[0][1]["uid"], given, shown(metadata))

    def _expect(self, uid: str, given: list[list[Any]], odd: str, to: Dispatcher | None = None) -> str | None:
        is_whole, must_have_result = judged(uid, given)
        if must_have_result:
            self.expected[uid] = odd
        if is_whole and to is self._with_raw:
            self._expected_raw[uid] = odd
        return self.give(given, to)

    def close(self) -> tuple[Counter[str], list[str]]:
        """Close the worker, and return the statuses of all results, and the errors."""
        self._is_away = False
        for name, doc in documents("events", self._frames):  # spooled runs are written before it
            self.worker(name, doc)
        hangs = self.wait()
        self.worker.close()
        self.raw_writer.make_up()  # those that are kept although Tiled was away for a moment only
        self._look_at_raw()
        self.raw_writer.close()
        self._http.event_hooks = self._hooks
        nodes = [node.metadata for node in self._results.values()]
        results = Counter(node["raw_uid"] for node in nodes)
        wrong = [*([hangs] if hangs else []), *self._wrong]
        wrong += [f"a raw run is kept, Tiled does not take it ({odd})" for odd in self._expected_raw.values()]
        wrong += [f"a run has no result ({odd})" for uid, odd in self.expected.items() if uid not in results]
        wrong += [f"run {uid} has {n} results" for uid, n in results.items() if n > 1]
        endless = {node["raw_uid"] for node in nodes if node["status"] == "computing"}
        wrong += [f"a run is computing for ever ({odd})" for uid, odd in self.expected.items() if uid in endless]
        if left := list(self._spool.glob("*.jsonl")):
            wrong.append(f"{len(left)} runs were never written")
        if (n := len(ResultStore(self.store.container).table())) != len(nodes):
            wrong.append(f"the table has {n} of {len(nodes)} results")
        return Counter(node["status"] for node in nodes), wrong

    def _ask(self, request: httpx.Request) -> None:
        if self._is_away:
            raise httpx.ConnectError("as if Tiled were away", request=request)


def documents(kind: str, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the documents of a run, with frames in events, in a file, or named one by one as in classic ophyd."""
    run = compose_run(metadata={"scan_id": 1, "num_points": N}, validate=False)
    yield "start", run.start_doc
    numbers = {key: {"dtype": "number", "shape": [], "source": "sim"} for key in ("x", "t")}
    image = {"dtype": "array", "shape": [*SHAPE], "source": "sim"} | (
        {} if kind == "events" else {"external": "STREAM:"}
    )
    primary = run.compose_descriptor(
        name="primary",
        data_keys={"det": image, **({} if kind == "file" else numbers)},  # type: ignore[dict-item]
        configuration={"det": {"data": {"frames": N}, "timestamps": {}, "data_keys": {}}},
        validate=False,
    )
    yield "descriptor", primary.descriptor_doc
    if kind == "file":
        parameters = {"dataset": "entry/data/data", "swmr": True}
        stream = run.compose_stream_resource("application/x-hdf5", f"file://localhost{path}", "det", parameters)
        yield "stream_resource", stream.stream_resource_doc
        for i in range(N):
            indices, numbered = {"start": i, "stop": i + 1}, {"start": i + 1, "stop": i + 2}
            yield "stream_datum", stream.compose_stream_datum(indices, numbered, primary.descriptor_doc)  # type: ignore[arg-type]
    else:
        resource = run.compose_resource("AD_HDF5", "/", str(path).lstrip("/"), {"frame_per_point": 1})
        if kind == "classic":
            yield "resource", resource.resource_doc
        for i in range(N):
            frame: Any = np.ones(SHAPE)
            if kind == "classic":
                yield "datum", (datum := resource.compose_datum({"point_number": i}))
                frame = datum["datum_id"]
            read, at = {"det": frame, "x": float(i), "t": 300.0}, 100.0 + i
            yield "event", primary.compose_event(read, dict.fromkeys(read, at), time=at, validate=False)
    yield "stop", run.compose_stop()


def judged(uid: str, given: list[list[Any]]) -> tuple[bool, bool]:
    """Return whether a RunEngine could have sent this run up to its end, and all documents, with the detector."""
    begun = ended = has_detector = False
    for name, doc in given:
        try:
            checked(name, doc)
        except (ValueError, RecursionError):
            return ended, False
        if name == "start" and doc["uid"] == uid:
            begun = True
        elif name == "descriptor" and doc["run_start"] == uid and begun and not ended:
            has_detector |= "det" in doc["data_keys"]
        elif name == "stop" and doc["run_start"] == uid and begun:
            ended = True
    return ended, has_detector


class Requests:
    """Requests to our routes of a server, whose table must stay readable."""

    def __init__(self, client: Container, ainerd: Container) -> None:
        self._ainerd, self._http, self._n = ainerd, client.context.http_client, 0
        self._self = ainerd["results"].item["links"]["self"]
        self._url = self._self.replace("/api/v1/metadata", "/custom/ainerd/results", 1)
        self._root = self._url.removesuffix("/ainerd/results")

    def read_table(self, _: None) -> None:
        """Read all results."""
        ResultStore(self._ainerd).table()
        [*self._ainerd["results"].values()]

    def check(self, drawn: tuple[Any, ...]) -> str | None:
        """Send a result with any path, header, metadata and file, and download it if it is accepted."""
        what, path, length, file, kind, form = drawn
        self._n += 1
        head, key = changed([HEAD], what)[0], f"h{self._n}"
        if isinstance(head, dict):
            head = {**head, "key": key}
        text = as_json(head)
        url = self._url if path is None else f"{self._root}/{'/'.join(path)}"
        headers = {"x-metadata-length": (str(len(text)) if length is None else length).encode(), "content-type": kind}
        try:
            answers = [self._http.put(url, content=text + file, headers=headers)]
        except (httpx.InvalidURL, httpx.LocalProtocolError):
            return None  # not even sent
        if path is None and answers[0].is_success:
            node = self._http.get(f"{self._self}/{key}")
            json.loads(node.raise_for_status().content)
            full = self._self.replace("/metadata", "/container/full", 1)
            answers.append(self._http.get(f"{full}/{key}", params={"format": form}))
        for name, answer in zip(("a result", f"a download as {form!r}"), answers, strict=False):
            if answer.status_code >= 500:
                return f"{name} is answered by {answer.status_code}, {shown(head)}"
        return None
