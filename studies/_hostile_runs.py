"""Runs with documents that no instrument should send, and requests that no client should make."""

import io
import json
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import h5py
import httpx
import numpy as np
from event_model import compose_run
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.documents import DetectorKeys, WireError, checked
from ainerd.results import ResultStore
from ainerd.runs import Jobs, Spool, Wanted, Worker, Writer
from ainerd.technique import Analysis, AnalysisError, Layout, Regimes, RunInfo
from studies._hostile_inputs import ANY, NESTED, as_json, bytes_of, changed, changes, each, shown
from studies._tools import memory_mb

_PARTS = ("ainerd", "results", "..", ".", "", "%2e%2e", "%2f", "..%2f..%2foutside", "raw", "k" * 300, "a.b", "%00", "é")
_FORMATS = (
    "application/x-hdf5",
    "text/csv",
    "image/png",
    "image/tiff",
    "text/html",
    "application/json",
    "a/b",
    "\N{BOM}",
)
SHAPE, N = (2, 3), 4
AWAY, TOGETHER = 5, 50  # runs in a row for which Tiled is away; runs between two waits
LONG_S = 300.0  # on a busy machine


class Sums:
    """A technique that adds up each frame."""

    name, unit, alpha, embedding_size, regime_width = "sums", "run", 0.05, 2, None
    parameters = {"technique": "sums"}

    def begin(self, run: RunInfo) -> "_Sum":
        """Take frames of one shape."""
        if run.frame_shape != SHAPE:
            raise AnalysisError(f"frames of {run.frame_shape}")
        return _Sum()

    def regimes(self, embeddings: NDArray[Any], previous: Any = None) -> Regimes:
        """Not used."""
        raise NotImplementedError


class _Sum:
    def __init__(self) -> None:
        self.pixels, self.layouts = np.arange(6), {"sums": Layout((1,), "float64", ("frame",))}
        self._sums: list[float] = []

    def push(self, block: NDArray[Any]) -> None:
        self._sums += np.asarray(block, float).sum(axis=1).tolist()

    def finish(self) -> Analysis:
        if not self._sums:
            raise AnalysisError("no frames")
        embedding = np.nan_to_num(np.array([len(self._sums), np.mean(self._sums)], np.float32))
        return Analysis(embedding=embedding, novelty_p=None, arrays={"sums": np.array(self._sums)})


class Runs:
    """A worker with a Tiled server that is sometimes away, and the runs that must have results."""

    def __init__(self, client: Container, ainerd: Container, folder: Path) -> None:
        self.folder, self._n, self._is_away = folder, 0, False
        self.expected: dict[str, str] = {}  # the odd part of each run that must have a result
        self._results, self._http = ainerd["results"], client.context.http_client
        self._hooks = self._http.event_hooks
        self._http.event_hooks = {**self._hooks, "request": [*self._hooks["request"], self._ask]}
        listener = SimpleNamespace(
            assign=lambda outcome: {"regime": 0, "atlas_version": 1}, absorb=lambda outcome: None
        )
        wanted = Wanted(
            positions=("x",), series={"warmth": "t"}, readings={"age": "t"}, start={"odd": "odd"}, units={"x": "mm"},
            age="age",
        )  # fmt: skip
        self.store = ResultStore(ainerd, agent="hostile")
        keys, self._jobs = DetectorKeys(image="det", n_frames="frames"), Jobs()
        writer = Writer(Sums(), self.store, keys, wanted, (folder / "frames",), "hostile")
        self.worker = Worker(self._jobs, writer, listener, Spool(folder / "spool", self.store.answers))
        self._jobs.start()
        (folder / "frames").mkdir(exist_ok=True)
        with h5py.File(folder / "frames" / "frames.h5", "w", libver="latest") as file:
            file["entry/data/data"] = np.ones((N, *SHAPE), np.uint16)

    def give(self, documents: list[list[Any]]) -> str | None:
        """Send the documents of a run to the worker, and return an error if it hangs or dies."""
        self._n += 1
        self._is_away = self._n % 200 in range(100, 100 + AWAY)
        for name, doc in documents:
            self.worker(name, doc)
        if self._n % TOGETHER == 0 or self._is_away:
            return self.wait()
        return None

    def wait(self) -> str | None:
        """Wait for all results, and return an error if the worker hangs or is dead."""
        if not self._jobs.drain(LONG_S):
            return f"not done after {LONG_S:.0f} s"
        return None if self.worker.health()["worker"] == "alive" else "the worker is dead"

    def mutated(self, drawn: tuple[str, list[Any]]) -> str | None:
        """Send a run with changed documents; one that a RunEngine could have sent must get its result."""
        kind, what = drawn
        original = list(map(list, documents(kind, self.folder / "frames" / "frames.h5")))
        uid, stop = original[0][1]["uid"], original[-1]
        given = [*changed(original, what, lambda document: document[1]), stop]
        if must_have_result(uid, given):
            self.expected[uid] = f"{kind}: {shown(what)}"
        return self.give(given)

    def close(self) -> tuple[Counter[str], list[str]]:
        """Close the worker, and return the statuses of all results, and the errors."""
        self._is_away = False
        for name, doc in documents("events", self.folder):  # spooled runs are written before it
            self.worker(name, doc)
        hangs = self.wait()
        self.worker.close()
        self._http.event_hooks = self._hooks
        nodes = [node.metadata for node in self._results.values()]
        results = Counter(node["raw_uid"] for node in nodes)
        wrong = [hangs] if hangs else []
        wrong += [f"a run has no result ({odd})" for uid, odd in self.expected.items() if uid not in results]
        wrong += [f"run {uid} has {n} results" for uid, n in results.items() if n > 1]
        if left := list((self.folder / "spool").glob("*.jsonl")):
            wrong.append(f"{len(left)} runs were never written")
        if (n := len(ResultStore(self.store.container).table())) != len(nodes):
            wrong.append(f"the table has {n} of {len(nodes)} results")
        return Counter(node["status"] for node in nodes), wrong

    def _ask(self, request: httpx.Request) -> None:
        if self._is_away:
            raise httpx.ConnectError("as if Tiled were away", request=request)


def documents(kind: str, path: Path, **start: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the documents of a run, with frames in events, in a file, or named one by one as in classic ophyd."""
    bundle = compose_run(metadata={"scan_id": 1, "num_points": N, **start}, validate=False)
    yield "start", bundle.start_doc
    image: dict[str, Any] = {"dtype": "array", "shape": [*SHAPE], "source": "sim"}
    if kind != "events":
        image["external"] = "STREAM:"
    numbers = {key: {"dtype": "number", "shape": [], "source": "sim"} for key in ("x", "t")}
    configuration = {"det": {"data": {"frames": N}, "timestamps": {}, "data_keys": {}}}
    beside = {} if kind == "file" else numbers
    made = bundle.compose_descriptor(
        name="primary", data_keys={"det": image, **beside}, configuration=configuration, validate=False
    )
    yield "descriptor", made.descriptor_doc
    of_run = {"uid": "", "run_start": bundle.start_doc["uid"]}
    if kind == "file":
        resource = {"data_key": "det", "mimetype": "application/x-hdf5", "uri": f"file://localhost{path}"}
        resource |= of_run | {
            "uid": f"r{of_run['run_start']}",
            "parameters": {"dataset": "entry/data/data", "swmr": True},
        }
        yield "stream_resource", resource
        for i in range(N):
            datum = {"stream_resource": resource["uid"], "uid": f"{resource['uid']}/{i}"}
            datum |= {"descriptor": made.descriptor_doc["uid"], "indices": {"start": i, "stop": i + 1}}
            yield "stream_datum", datum | {"seq_nums": {"start": i + 1, "stop": i + 2}}
    else:
        resource = {"spec": "AD_HDF5", "root": "/", "resource_path": str(path).lstrip("/"), "path_semantics": "posix"}
        resource |= of_run | {"uid": f"r{of_run['run_start']}", "resource_kwargs": {"frame_per_point": 1}}
        if kind == "classic":
            yield "resource", resource
        for i in range(N):
            frame: Any = np.ones(SHAPE)
            if kind == "classic":
                frame = f"{resource['uid']}/{i}"
                yield "datum", {"resource": resource["uid"], "datum_id": frame, "datum_kwargs": {"point_number": i}}
            read = {"det": frame, "x": float(i), "t": 300.0}
            yield (
                "event",
                made.compose_event(
                    data=read, timestamps=dict.fromkeys(read, 100.0 + i), time=100.0 + i, validate=False
                ),
            )
    yield "stop", bundle.compose_stop()


def must_have_result(uid: str, given: list[list[Any]]) -> bool:
    """Return whether a RunEngine could have sent these documents, with the detector among them."""
    begun = ended = has_detector = False
    for name, doc in given:
        try:
            checked(name, doc)
        except (WireError, RecursionError):
            return False
        if name == "start" and doc["uid"] == uid:
            begun = True
        elif name == "descriptor" and doc["run_start"] == uid and begun and not ended:
            has_detector |= "det" in doc["data_keys"]
        elif name == "stop" and doc["run_start"] == uid and begun:
            ended = True
    return has_detector


def hostile_documents(runs: Runs, n: int, number: int) -> tuple[int, list[str]]:
    """Send runs whose documents are changed in any way."""
    drawn = st.tuples(st.sampled_from(["events", "file", "classic"]), changes())
    return each(drawn, n, number, runs.mutated)


def hostile_metadata(runs: Runs, n: int, number: int) -> tuple[int, list[str]]:
    """Send runs with valid documents and arbitrary metadata."""
    names = st.sampled_from(
        ["odd", "sample", "user", "proposal", "suggestion_id", "num_points", "scan_id", "time", "plan_name", "äö"]
    )
    odd = st.dictionaries(names, ANY, min_size=1, max_size=3)

    def check(metadata: dict[str, Any]) -> str | None:
        given = [[name, doc] for name, doc in documents("events", runs.folder)]
        given[0][1] = {**given[0][1], **metadata}
        if must_have_result(given[0][1]["uid"], given):
            runs.expected[given[0][1]["uid"]] = shown(metadata)
        return runs.give(given)

    return each(odd, n, number, check)


def tiny_runs(runs: Runs, n: int) -> list[float]:
    """Send many small runs, and return the memory in MB along them."""
    used = []
    for i in range(n):
        for name, doc in documents("events", runs.folder):
            runs.worker(name, doc)
        if (i + 1) % TOGETHER == 0:
            runs.wait()
            used.append(memory_mb())
    return used


def errors_in(log: Path) -> list[str]:
    """Return the last line of each traceback in the log of a server."""
    parts = log.read_text(errors="replace").split("Traceback (most recent call last):")
    return ["the server: " + part.strip().splitlines()[-1][:200] for part in parts[1:] if part.strip()]


class Requests:
    """Requests to our routes of a server, whose table must stay readable."""

    def __init__(self, client: Container, ainerd: Container) -> None:
        self._ainerd, self._http = ainerd, client.context.http_client
        self._url = ainerd["results"].item["links"]["self"].replace("/api/v1/metadata", "/custom/ainerd/result", 1)
        self._root = self._url.removesuffix("/ainerd/results")
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file["sums"], file.attrs["names"] = np.arange(3.0), ["a", "b"]
            file["bins/q"] = np.arange(2.0)
        self._file, self._n = buffer.getvalue(), 0

    def hostile(self, n: int, number: int) -> tuple[int, list[str]]:
        """Send results with any path, header, metadata and file, and download the accepted ones in any format."""
        head = {
            "metadata": {"status": "complete", "raw_uid": "a"},
            "specs": [{"name": "AinerdResult", "version": "1.0"}],
            "unless": [],
        }
        heads = changes(NESTED).map(
            lambda what: changed([head], [w for w in what if w[0] in ("set", "drop", "add")])[0]
        )
        paths = st.one_of(
            st.none(),
            st.lists(
                st.one_of(st.sampled_from(_PARTS), st.text(max_size=3).map(lambda x: quote(x, errors="replace"))),
                max_size=4,
            ),
        )
        lengths = st.one_of(st.none(), st.sampled_from(["-1", "0", "1e3", "9" * 30, "٣", ""]))
        files = st.one_of(st.just(b""), st.just(self._file), bytes_of([self._file]))
        types = st.sampled_from(["application/x-hdf5", "text/html", "", "multipart/form-data; boundary=x"])
        return each(st.tuples(heads, paths, lengths, files, types, st.sampled_from(_FORMATS)), n, number, self._check)

    def close(self) -> list[str]:
        """Return an error if the table cannot be read."""
        try:
            ResultStore(self._ainerd).table()
            [*self._ainerd["results"].values()]
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(at.filename).name}, line {at.lineno}"
            return [f"the table cannot be read any more: {type(error).__name__}: {str(error)[:100]} ({where})"]
        return []

    def _check(self, drawn: tuple[Any, ...]) -> str | None:
        head, path, length, file, kind, form = drawn
        self._n += 1
        text = as_json(head)
        key = f"h{self._n}"
        url = f"{self._url}/{key}" if path is None else f"{self._root}/{'/'.join(path)}"
        headers = {"x-metadata-length": (str(len(text)) if length is None else length).encode(), "content-type": kind}
        try:
            answer = self._http.put(url, content=text + file, headers=headers)
        except (httpx.InvalidURL, httpx.LocalProtocolError):
            return None  # not even sent
        except httpx.TransportError as error:
            return f"no answer to {url.removeprefix(self._root)!r}, {headers}: {type(error).__name__}: {error}"
        if answer.status_code >= 500:
            return f"a result is answered by {answer.status_code}, {shown(head)}"
        if path is None and answer.is_success:
            problem = self._download(key, form)
            return problem and f"{problem}, {shown(head)}"
        return None

    def _download(self, key: str, form: str) -> str | None:
        base = self._url.replace("/custom/ainerd/result", "/api/v1/{}", 1) + f"/{key}"
        answer = self._http.get(base.format("metadata"))
        if not answer.is_success:
            return f"an accepted node is answered by {answer.status_code}"
        json.loads(answer.content)
        answer = self._http.get(base.format("container/full"), params={"format": form})
        if answer.status_code >= 500:
            return f"a download as {form!r} is answered by {answer.status_code}"
        return None
