"""Two-time maps of other programs: their analysis, and that of a run whose "frames" are the result file of one.

The start document of such a run has `ABOUT`, by which `RheoXPCS.begin` knows it; see `ainerd_xpcs.technique._results`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, AnalysisError, RunAnalysis
from ainerd_xpcs.numerics import Partition, g2_from_two_time
from ainerd_xpcs.technique._exposure import DIMS, UNITS
from ainerd_xpcs.technique._maps import MapFile
from ainerd_xpcs.technique._verdict import filled, judge

if TYPE_CHECKING:
    from ainerd_xpcs.technique._technique import RheoXPCS

NO_CLAIM = "the maps are of another program: the bank is calibrated for maps that are made of frames here"
ABOUT = "result_file"  # key of the start document: path, size, time of change, SHA-256, layout, row_s


def technique_of(bins: Partition, like: "RheoXPCS | None" = None) -> "RheoXPCS":
    """Return the technique of maps of other programs, with the models of another technique: it claims no novelty."""
    from ainerd_xpcs.technique._technique import RheoXPCS

    models = (None, None) if like is None else (like.encoder, like.bank)
    return RheoXPCS(bins, *models, diagonal="neighbour", normalization="of the file")


def analyse(
    file: MapFile, technique: "RheoXPCS", report: Callable[[int], None] = lambda n: None
) -> tuple[Analysis, dict[str, float]]:
    """Read and reduce the maps of a file and place them in the latent space.

    Parameters
    ----------
    file : MapFile
    technique : RheoXPCS
        From `technique_of`.
    report : callable
        Called with the number of maps read so far.

    Returns
    -------
    analysis : Analysis
        Maps, latent vectors, g2 along the diagonals, and the table of bins; no p-value.
    known : dict of str to float
        Rows of the stored maps, seconds from row to row, number of bins, and photons per pixel and frame if known.

    Raises
    ------
    ValueError
        If a map cannot be used, or no row of any holds a photon.
    """
    read, partition = [], file.partition
    for c2 in file.maps():
        read.append(c2)
        report(len(read))
    maps = np.array(read)
    if np.isnan(maps).all():
        raise ValueError(f"{file.path}: no row of its maps holds a photon")
    whole, _ = filled(maps)
    judgement = judge(technique, whole, np.ones(partition.n_roi), [None] * len(technique.rings), doubt=NO_CLAIM)
    size = maps.shape[-1]
    known = {"n_rows": float(file.n_rows), "row_s": file.row_s, "n_bins": float(partition.n_roi)}
    summary: dict[str, Any] = {"no_claim": NO_CLAIM}
    if np.isfinite(file.counts).all():
        known["counts_per_pixel"] = float(np.average(file.counts, weights=partition.n_pixels))
        summary["counts_per_pixel"] = known["counts_per_pixel"]
    arrays = {
        "c2": maps,
        "latent": judgement.latent,
        "g2": g2_from_two_time(maps),
        "tau": np.arange(1, size) * (file.n_rows / size * file.row_s),
    }
    of_bins = {"bin": np.arange(1, partition.n_roi + 1), "q": partition.q, "phi": partition.phi}
    names = {*arrays, *summary}
    analysis = Analysis(
        embedding=judgement.embedding,
        novelty_p=None,
        arrays=arrays,
        dims={name: DIMS[name] for name in arrays},
        tables={"bins": of_bins | {"n_pixels": partition.n_pixels}},
        summary=summary,
        units={name: unit for name, unit in UNITS.items() if name in names},
        model={"name": technique.encoder.name, "sha256": technique.encoder.sha256},
    )
    return analysis, known


@dataclass(frozen=True)
class ReadMaps:
    """The maps of a file as the only block of its run: as many frames as they have rows.

    `has_bins` is whether the file says where its bins are.
    """

    analysis: Analysis
    n_rows: int
    has_bins: bool

    def __len__(self) -> int:
        return self.n_rows


class MapRun(RunAnalysis):
    """Analysis of a run whose "frames" are the two-time maps in a result file.

    The bins are those of the file. Without any they are those of the technique, if these are as many as the maps.
    """

    def __init__(self, technique: "RheoXPCS", about: Mapping[str, Any]) -> None:
        self._technique, self._about, self._read = technique, about, None

    @property
    def pixels(self) -> NDArray[np.int64]:
        """No pixel: nothing is read from frames."""
        return np.empty(0, np.int64)

    def open_events(self, path: Path, pixel_order: str) -> "_Reader":
        """Open the result file."""
        return _Reader(self._technique, self._about, path)

    def push(self, block: Any, first: int = 0) -> None:
        """Take the maps."""
        self._read = block

    def finish(self) -> Analysis:
        """Return the result."""
        if self._read is None:
            raise AnalysisError("the result file holds no maps")
        analysis: Analysis = self._read.analysis
        names = {"file": Path(self._about["path"]).name, "layout": self._about["layout"]}
        names |= {"bins_of": "the file"} if self._read.has_bins else {}
        return replace(analysis, summary={**analysis.summary, **names})


class _Reader:
    """Reads the maps, if the file is as it was when its run was made."""

    def __init__(self, technique: "RheoXPCS", about: Mapping[str, Any], path: Path) -> None:
        self._technique, self._about, self._path = technique, about, path

    def reaches(self, stop: int) -> bool:
        return True

    def blocks(self, start: int, stop: int, viewer: RunAnalysis | None, first: int) -> Iterator[ReadMaps]:
        self._check()
        with MapFile(self._path, frame_time_s=self._about["row_s"], otherwise=self._technique.partition) as file:
            analysis, known = analyse(file, technique_of(file.partition, self._technique))
        self._check()
        yield ReadMaps(analysis, int(known["n_rows"]), not file.no_partition)

    def close(self) -> None:
        """Keep nothing open."""

    def _check(self) -> None:
        stat = self._path.stat()
        if (stat.st_size, stat.st_mtime) != (self._about["size"], self._about["changed"]):
            with self._path.open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != self._about["sha256"]:
                    raise ValueError(f"{self._path} has changed since its run was made")
