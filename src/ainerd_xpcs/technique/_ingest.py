"""Two-time maps that other programs computed, as runs with results in a catalog: ``ainerd ingest``.

A run stands for a file: its uid is made of the SHA-256 of the content, so a copy under another name is the same run.
Its documents contain the metadata of the file; the maps, in the size of the agent's own, are in the result.
"""

import gc
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import NAMESPACE_OID, UUID, uuid5

import typer

from ainerd.cli import Config, Tiled, bars, opened
from ainerd.words import number_of

if TYPE_CHECKING:
    from ainerd.documents import Document
    from ainerd.results import ResultStore
    from ainerd_xpcs.numerics import Partition

_KNOWN = ("n_rows", "row_s", "n_bins", "counts_per_pixel")
_UNITS = {"row_s": "s", "counts_per_pixel": "photons/pixel/frame"}


def ingest(
    files: Annotated[list[Path], typer.Argument(help="Result files with two-time maps: HDF5, or .npy of pychx.")],
    agent: Annotated[str, typer.Option(help="Name under which the results are kept.")] = "files",
    frame_time: Annotated[
        float | None, typer.Option(help="Seconds from row to row of the maps, if the files do not contain it.")
    ] = None,
    roi: Annotated[Path | None, typer.Option(help="Bins of the maps, in place of those in the files.")] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Write files with two-time maps of other programs into a catalog, as runs with results, and find their regimes.

    A file is known by its content, and written once: the same command continues after an interruption.
    """
    import numpy as np

    from ainerd.cli.reanalysis import label
    from ainerd.results import ResultStore
    from ainerd.server import open_catalog
    from ainerd_xpcs.numerics import Partition
    from ainerd_xpcs.technique._analyze import read_bins
    from ainerd_xpcs.technique._map_run import technique_of

    bins = None if roi is None else read_bins(roi)
    grouping = technique_of(Partition.from_roi_map(np.ones((1, 1), int)))  # regimes do not depend on the bins
    n_new, refused = 0, dict[Path, str]()
    with opened(tiled, config) as client, bars() as progress:
        raw, ainerd = open_catalog(client)
        store, digests = ResultStore(ainerd, agent=agent), set[str]()
        gc.collect()
        gc.freeze()  # imported objects stay, so that a collection takes milliseconds
        for file in progress.track(files, description="files"):
            try:
                n_new += _ingest(file, raw, store, digests, frame_time, bins)
            except (ValueError, OSError) as error:
                refused[file] = str(error)
            gc.collect()  # each file leaves cycles that hold its maps, and the command line collects seldom
        for digest in digests:
            label(ResultStore(ainerd, agent=agent, digest=digest), grouping)
    n_there = len(files) - n_new - len(refused)
    counts = f"{n_new} written, {n_there} were there, {len(refused)} refused"
    print(*refused.values(), f"{number_of(len(files), 'file')}: {counts}", sep="\n")
    if refused:
        raise typer.Exit(1)


def _ingest(
    path: Path, raw: Any, store: "ResultStore", digests: set[str], frame_time_s: float | None,
    bins: "Partition | None",
) -> bool:  # fmt: skip
    """Write the run and the result of a file; return False if they were there. Adds the digest of its parameters."""
    from ainerd.results import ConfigurationRecord, ResultRecord, digest
    from ainerd.runs import write_run
    from ainerd_xpcs.technique._map_run import analyse, technique_of
    from ainerd_xpcs.technique._maps import MapFile

    if not path.is_file():
        raise ValueError(f"no file {path}")
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    uid = str(uuid5(NAMESPACE_OID, sha256))
    with MapFile(path, frame_time_s=frame_time_s, bins=bins) as file:
        technique = technique_of(file.partition)
        parameters = dict(technique.parameters)
        if digest(parameters) not in digests:
            common = technique.common()
            shared = ConfigurationRecord(technique=technique.name, parameters=parameters, units=dict(common.units))
            digests.add(store.add_configuration(shared, common.arrays, common.dims))
        began = path.stat().st_mtime if file.began is None else file.began
        start: dict[str, Any] = {"file": path.name, "sha256": sha256, "layout": file.layout}
        record = ResultRecord(
            raw_uid=uid, raw_path=f"raw/{uid}", run_time=began, technique=technique.name,
            agent=str(store.agent), parameters=parameters, start=start | {"plan": "ingest"},
        )  # fmt: skip
        if store.take(record) is not None:
            return False
        try:
            analysis, known = analyse(file, technique)
        except ValueError as error:
            store.fail(record.key, str(error))
            raise
    write_run(raw, list(_documents(uid, path, start, began, known)))
    store.complete(record.key, analysis, n_frames=file.n_rows, frame_time_s=file.row_s)
    return True


def _documents(
    uid: str, path: Path, start: dict[str, Any], began: float, known: dict[str, float]
) -> "Iterator[Document]":
    """Yield the documents of the run of a file, the same each time: one event with the numbers of the file."""
    from event_model import compose_run

    run = compose_run(uid=uid, time=began, metadata=start | {"plan_name": "ingest"})
    yield "start", dict(run.start_doc)
    keys = {
        name: {"source": path.name, "dtype": "number", "shape": [], "units": _UNITS.get(name, "")}
        for name in _KNOWN
        if name in known
    }
    stream = run.compose_descriptor(name="primary", data_keys=keys, time=began, uid=_part(uid, "primary"))
    yield "descriptor", dict(stream.descriptor_doc)
    data = {name: known[name] for name in keys}
    event = stream.compose_event(
        data=data, timestamps=dict.fromkeys(data, began), seq_num=1, uid=_part(uid, "event"), time=began
    )
    yield "event", dict(event)
    yield "stop", dict(run.compose_stop(uid=_part(uid, "stop"), time=began + known["n_rows"] * known["row_s"]))


def _part(uid: str, role: str) -> str:
    return str(uuid5(UUID(uid), role))
