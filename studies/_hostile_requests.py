"""Requests to the routes that the server has of ours, as no client should make them."""

import io
import json
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import httpx
import numpy as np
from hypothesis import strategies as st
from tiled.client.container import Container

from ainerd.results import ResultStore
from studies._hostile_inputs import NESTED, as_json, bytes_of, changed, changes, each, shown

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


def errors_in(log: Path) -> list[str]:
    """The last line of each traceback in the log of a server."""
    parts = log.read_text(errors="replace").split("Traceback (most recent call last):")
    return ["the server: " + part.strip().splitlines()[-1][:200] for part in parts[1:] if part.strip()]


class Requests:
    """A server that is sent things, and its table, which must be as it was."""

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
        """Results with any path, head, metadata and file; downloads of what was taken, in any format."""
        said = {
            "metadata": {"status": "complete", "raw_uid": "a"},
            "specs": [{"name": "AinerdResult", "version": "1.0"}],
            "unless": [],
        }
        heads = changes(NESTED).map(
            lambda what: changed([said], [w for w in what if w[0] in ("set", "drop", "add")])[0]
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
        """What is wrong with the table after all."""
        try:
            ResultStore(self._ainerd).table()
            [*self._ainerd["results"].values()]
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {str(error)[:100]} ({Path(at.filename).name}, line {at.lineno})"
            return [f"the table cannot be read any more: {said}"]
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
            said = self._look(key, form)
            return said and f"{said}, {shown(head)}"
        return None

    def _look(self, key: str, form: str) -> str | None:
        base = self._url.replace("/custom/ainerd/result", "/api/v1/{}", 1) + f"/{key}"
        answer = self._http.get(base.format("metadata"))
        if not answer.is_success:
            return f"a node that was taken is answered by {answer.status_code}"
        json.loads(answer.content)
        answer = self._http.get(base.format("container/full"), params={"format": form})
        if answer.status_code >= 500:
            return f"a download as {form!r} is answered by {answer.status_code}"
        return None
