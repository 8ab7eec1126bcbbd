"""Documents of runs that are in Tiled, rebuilt from their nodes, of finished runs and of those that go on."""

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from tiled.client.container import Container

from ainerd.documents._wire import Document

logger = logging.getLogger(__name__)

PAUSES_S = (0.1, 0.5, 1.0)  # before a table is read again that has fewer events than the run


def documents_of(run: Container) -> Iterator[Document]:
    """Documents of a finished run, in the order of `RunReader.rest`; KeyError if it has no stop document."""
    stop = run.metadata["stop"]
    yield from RunReader().rest(run)
    yield "stop", stop


def streams_of(run: Container) -> Iterator[tuple[str, Any]]:
    """Name and node of each stream of a run; what else lies beside them, a preview say, is left out."""
    for name in run:
        node = run[name]
        keys = node.metadata.get("data_keys")
        if isinstance(keys, Mapping) and "uid" in node.metadata and hasattr(node, "base"):
            yield name, node


class RunReader:
    """What of one run has been given as documents, and what is new."""

    def __init__(self) -> None:
        self.uid: str | None = None  # of the run, once its start was given
        self._descriptors: dict[str, Any] = {}  # metadata of streams by name
        self._shown: dict[str, int] = {}  # indices by resource

    def news(self, run: Container) -> Iterator[Document]:
        """Start, descriptors and frames that were not there the last time; `run` as it is now."""
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
        """All of a run that ended which was not given: descriptors, events, then the frames, for readings come first.

        Events carry scalars only; frames are announced as one StreamDatum for each data source. All or nothing: if
        something cannot be read, the same is new the next time.
        """
        given = self.uid, dict(self._descriptors), dict(self._shown)
        try:
            new = list(self.news(run))
            events = sorted(self._events(run), key=lambda document: document[1]["time"])
        except BaseException:
            self.uid, self._descriptors, self._shown = given
            raise
        yield from (document for document in new if not document[0].startswith("stream_"))
        yield from events
        yield from (document for document in new if document[0].startswith("stream_"))

    def _events(self, run: Container) -> Iterator[Document]:
        """All events, stream by stream: their tables are written in batches, so they are asked for at the end."""
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
                uri = files[0] if len(files) == 1 else node.uri  # which frames are where, Tiled knows
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
    """Events of a stream; read again while there are fewer than `n`.

    All runs share one table of the server's database: it was seen to give no rows of one while another's were written.
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
