"""Rheo-XPCS: the technique that measures dynamics in speckle movies of a sheared sample."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numba.core.event import Listener, register
from numpy.typing import NDArray

from ainerd.config import Section, read_section
from ainerd.jobs import doing
from ainerd.novelty import NoveltyScorer, find_regimes
from ainerd.technique import (
    AnalysisError,
    Common,
    Finding,
    Landmarks,
    NullRegimes,
    Regimes,
    RunAnalysis,
    RunInfo,
    Technique,
)
from ainerd.words import number_of
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique._bank import Bank
from ainerd_xpcs.technique._bins import beam_and_masked, build_partition, check_bins, instrument
from ainerd_xpcs.technique._calibration import calibrated, null_regimes, placed
from ainerd_xpcs.technique._difference import OUTLINE, difference
from ainerd_xpcs.technique._exposure import FEWEST_FRAMES, ExposureAnalysis
from ainerd_xpcs.technique._features import rings
from ainerd_xpcs.technique._models import MODELS, agreed
from ainerd_xpcs.technique._numbers import FORMULAS, NAMES, VERSIONS
from ainerd_xpcs.technique._parts import installed
from ainerd_xpcs.technique._picture import field_of
from ainerd_xpcs.technique._settings import PartitionSettings, settings_with_parts
from ainerd_xpcs.technique._sketch import draw_bins
from ainerd_xpcs.technique.field import Field

# Middle of the range of the bank for any instrument, so that the axes through the landmarks are always the same.
LANDMARKS: dict[str, Any] = {"n_frames": 1.0, "counts": 250.0, "n_pixels": 600.0, "contrast": 0.2}
# Key of the start document that names a q map, which is looked for beside the one of the settings.
QMAP, MOST_QMAPS = "qmap_file", 8
RESULT_FILE = "result_file"  # key of the start document: path, size, time of change, SHA-256, row_s of a file
OF_FRAMES = {"diagonal": "poisson", "normalization": "smoothed", "sigma": None}  # how C2 is made
OF_MAPS = {"diagonal": "extrapolated", "normalization": "of the file"}  # the same, of maps of other programs
COMPILING = "compiling, once (10 to 30 s; a minute on a busy machine)"


class _Compiling(Listener):
    """Names it while numba compiles a function, which it does not find in its cache."""

    def __init__(self) -> None:
        self._each = list[Any]()  # nested, as a compiled function calls others

    def on_start(self, event: Any) -> None:
        self._each.append(doing(COMPILING))
        self._each[-1].__enter__()

    def on_end(self, event: Any) -> None:
        self._each.pop().__exit__(None, None, None)


register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]


class RheoXPCS(Technique):
    """Computes C2 and g2 of each bin of an exposure, latent vectors, and a p-value for its novelty.

    Parameters
    ----------
    partition : Partition
    encoder, bank : Encoder and Bank, optional
        By default those that are shipped.
    contrast : float, optional
        Speckle contrast beta of the instrument; it is pooled with that of each run.
    alpha : float
        An exposure is called novel if its p-value is at most alpha.
    monitor : sequence of str
        Data keys of the beam's intensity and of further readings, by whose product intensities are divided.
    denoiser : Encoder, optional
        Encoder that removes the noise of the stored maps; without it only measured maps are stored.
    of_maps : bool
        Whether it analyses two-time maps of other programs, not frames.
    parts : mapping of str to settings
        Settings of the installed parts that analyse exposures too, by name.
    preshear : sequence of (float, float)
        Steps of shear before each exposure of the agent, rate in 1/s and duration in s.
    """

    name = "rheo_xpcs"
    unit = "event"
    compares = OUTLINE
    agrees = (MODELS,)

    def __init__(
        self,
        partition: Partition,
        encoder: Encoder | None = None,
        bank: Bank | None = None,
        *,
        contrast: float | None = None,
        alpha: float = 0.05,
        denoiser: Encoder | None = None,
        monitor: Sequence[str] = (),
        of_maps: bool = False,
        parts: Mapping[str, Section] = MappingProxyType({}),
        preshear: Sequence[tuple[float, float]] = (),
    ) -> None:
        encoder = Encoder.load() if encoder is None else encoder
        bank = Bank.load() if bank is None else bank
        if 64 not in encoder.sizes:
            raise ValueError(f"encoder {encoder.name!r} cannot be calibrated, it takes no maps of 64 px: give 'pca'")
        self.partition, self.encoder, self.bank, self.denoiser = partition, encoder, bank, denoiser
        self.contrast, self.alpha = contrast, alpha
        self.monitor = tuple(monitor)
        self._of_maps, self.bins_of = of_maps, ""  # the q map that a run names
        self.parts = parts
        self.regime_width = 3.0 * encoder.scatter  # two exposures of one regime are rarely farther apart
        self.embedding_size = encoder.n_point
        self.rings = rings(partition)
        self._bins: PartitionSettings | None = None
        self._preshear = preshear
        self._options = dict[str, Any]()  # of the settings, beside bins and models
        self._of_qmaps = dict[tuple[str, int, int], Self]()  # by name, time of change and size of the file

    @classmethod
    def from_settings(cls, section: Mapping[str, Any], folder: Path) -> Self:
        """Build the technique from ``[rheo_xpcs]``; see `RheoXPCSSettings`."""
        settings = read_section(settings_with_parts(), section, cls.name).anchored(folder)
        models = Encoder.load(settings.encoder), Bank.load(settings.bank)
        options = settings.model_dump(include={"contrast", "alpha", "monitor"})
        parts = {name: part for name in installed() if (part := getattr(settings, name)) is not None}
        options |= {"denoiser": Encoder.load("ours"), "parts": parts}
        return cls._of_bins(settings.partition, *models, preshear=settings.preshear, **options)

    @classmethod
    def _of_bins(cls, bins: PartitionSettings, *models: Any, **options: Any) -> Self:
        technique = cls(build_partition(bins), *models, **options)
        technique._bins, technique._options = bins, options
        return technique

    @cached_property
    def field(self) -> Field:
        """Pixels of the detector with rings of q, as far as the geometry is known."""
        if self._bins is not None and self._bins.by_geometry:
            return field_of(self._bins)
        return Field.of(self.partition.shape)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything that changes the numbers."""
        maps = hashlib.sha256(self.partition.labels.tobytes() + self.partition.static_map.tobytes())
        return {
            "technique": self.name,
            "partition": maps.hexdigest(),
            "n_roi": self.partition.n_roi,
            "reducer": {"size": 256, "reduction": "area", **(OF_MAPS if self._of_maps else OF_FRAMES)},
            "encoder": self.encoder.sha256,
            **({"denoiser": self.denoiser.sha256} if self.denoiser else {}),
            "bank": self.bank.id,
            "contrast": self.contrast,
            **({"incident": self.monitor} if self.monitor else {}),
            **{
                name: settings.model_dump() | {"version": installed()[name].version}
                for name, settings in self.parts.items()
            },
            "formulas": VERSIONS,
        }

    def begin(self, run: RunInfo) -> RunAnalysis:
        """Start an exposure.

        Raises
        ------
        AnalysisError
            If its frames do not fit the partition, if the q map that it names cannot be read, or if too few are
            announced.
        """
        if (qmap := self._other_qmap(run.start)) is not None:
            return self._with_qmap(qmap).begin(run)
        self._check_run(run)
        return ExposureAnalysis(self, run)

    def file_of(self, start: Mapping[str, Any]) -> str | None:
        """Return the path of a file with two-time maps, which the source ``results`` found, or None."""
        about = start.get(RESULT_FILE)
        path = about.get("path") if isinstance(about, Mapping) else None
        return path if isinstance(path, str) else None

    def begin_file(self, path: Path, start: Mapping[str, Any]) -> RunAnalysis:
        """Start the analysis of such a file by the entry point ``ainerd_xpcs.result_files``."""
        (entry,) = entry_points(group="ainerd_xpcs.result_files", name="maps")
        made: RunAnalysis = entry.load()(self, path, start[RESULT_FILE])
        return made

    def files_digest(self, start: Mapping[str, Any]) -> str:
        """Return a digest of the bins and their q of the q map that a run names, or ""."""
        if self.file_of(start) is not None or (qmap := self._other_qmap(start)) is None:
            return ""
        try:
            other = self._with_qmap(qmap)
        except AnalysisError:  # `begin` gives the reason
            return ""
        arrays = (other.partition.q, other.partition.phi, other.partition.static_q)
        content = [other.parameters["partition"]]
        content += [None if array is None else array.tolist() for array in arrays]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def _other_qmap(self, start: Mapping[str, Any]) -> Path | None:
        """Return the q map that a run names, in the folder of that of the settings; None if it is that one."""
        own, its = None if self._bins is None else self._bins.file, start.get(QMAP)
        if own is None or not (isinstance(its, str) and Path(its).name not in ("", own.name)):
            return None
        return own.with_name(Path(its).name)

    def _with_qmap(self, qmap: Path) -> Self:
        """Return this technique with the bins of another q map; AnalysisError if it cannot be read."""
        assert self._bins is not None
        try:
            stat = qmap.stat()
        except (OSError, ValueError):  # ValueError: no text for a path
            where = f"{qmap.parent}, the folder of rheo_xpcs.partition.file"
            raise AnalysisError(f"it names the q map {qmap.name}, which is not in {where}") from None
        key = qmap.name, stat.st_mtime_ns, stat.st_size
        if (known := self._of_qmaps.get(key)) is not None:
            return known
        try:
            bins = self._bins.model_copy(update={"file": qmap})
            other = self._of_bins(bins, self.encoder, self.bank, **self._options)
        except ValueError as error:
            raise AnalysisError(f"it names the q map {qmap.name}, which cannot be used: {error}") from None
        other.bins_of = qmap.name
        while len(self._of_qmaps) >= MOST_QMAPS:
            del self._of_qmaps[next(iter(self._of_qmaps))]
        self._of_qmaps[key] = other
        return other

    def _check_run(self, run: RunInfo) -> None:
        """Raise AnalysisError unless a run can be analysed with these bins."""
        if tuple(run.frame_shape) != self.partition.shape:
            frame, own = (" × ".join(map(str, shape)) for shape in (run.frame_shape, self.partition.shape))
            raise AnalysisError(f"frames of {frame} pixels, the partition is for {own}")
        if run.frame_time_s is None:
            key = "name its configuration key in [detector] frame_time_s"
            raise AnalysisError(f"the detector does not say how fast it takes frames: {key}")
        if run.n_frames is not None and run.n_frames < FEWEST_FRAMES:
            raise AnalysisError(f"{number_of(run.n_frames, 'frame')}: a map needs at least {FEWEST_FRAMES}")

    def warm_up(self) -> None:
        """Analyse a few 16-bit frames without speckle, so that the loops over pixels are compiled.

        Numba caches compiled code for the next session; see its ``NUMBA_CACHE_DIR``.
        """
        rng, n_frames = np.random.default_rng(0), FEWEST_FRAMES
        info = RunInfo(raw_uid="", n_frames=n_frames, frame_shape=self.partition.shape, frame_time_s=1.0)
        exposure = self.begin(info)
        exposure.push(rng.poisson(1.0, (n_frames, exposure.pixels.size)).astype(np.uint16), 0)
        exposure.whole(rng.poisson(1.0, self.partition.shape).astype(np.uint16), n_frames - 1)
        exposure.finish()

    def regimes(self, embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None) -> Regimes:
        """Group runs into regimes."""
        return find_regimes(embeddings, previous, width=self.regime_width)

    def difference(
        self, new: Mapping[str, NDArray[Any]], others: Sequence[Mapping[str, NDArray[Any]]]
    ) -> tuple[float, float] | None:
        """Return reduced chi square of the maps of an exposure beside the mean of others, and its p-value."""
        return difference(new, others)

    def agree(
        self, results: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
    ) -> tuple[str, Sequence[Mapping[str, float | int | str | None]]]:
        """Return the numbers of exposures of one regime by the model of g2 that all of them together prefer."""
        return agreed([tables[MODELS] for tables, _ in results], [metadata for _, metadata in results], NAMES)

    def landmarks(self) -> Landmarks:
        """Return exposures of the bank with their families."""
        return placed(self.bank, self.encoder, **LANDMARKS)

    def null_regimes(self) -> NullRegimes | None:
        """Return simulated regimes of known kinds; None unless encoder and bank are the shipped ones."""
        return null_regimes(self)

    def common(self) -> Common:
        """Return the partition, which exports need beside the results."""
        names = ("roi_map", "static_map", "q", "phi", "static_q")
        known = {} if self._bins is None else instrument(self._bins)
        return Common(
            instrument=known | {f"formula_{name}": text for name, text in FORMULAS.items()},
            arrays={name: array for name in names if (array := getattr(self.partition, name)) is not None}
            | {"roi": self.partition.numbers},
            dims=dict.fromkeys(("roi_map", "static_map"), ("row", "column"))
            | dict.fromkeys(("roi", "q", "phi"), ("roi",)),
            units={"q": "1/nm", "phi": "degree", "static_q": "1/nm"},
        )

    def check(self) -> Iterator[Finding]:
        """Describe the models and check the bins."""
        models = {"encoder": self.encoder} | ({"denoiser": self.denoiser} if self.denoiser else {})
        for role, model in models.items():
            yield Finding(role, model.name)
        yield Finding("p-values", f"compare with {self.bank.n} simulated exposures")
        yield from check_bins(self.partition, self._bins)

    def before(self, beside: Sequence[Any]) -> Callable[[], Any] | None:
        """Return the plan of ``rheo_xpcs.preshear`` with the rheometer among these devices, or None without steps."""
        from ainerd_xpcs.technique.plans import preshear_of  # it imports Bluesky

        return preshear_of(self._preshear, beside)

    @classmethod
    def template(cls) -> str:
        """Return the sections of the TOML that ``ainerd init`` writes: options, bins, and a rheometer."""
        return files("ainerd_xpcs.technique").joinpath("template.toml").read_text("utf-8")

    def sketch(self, figure: Any, frame: NDArray[np.float64] | None = None) -> None:
        """Draw bins, masked pixels and beam on a mean frame; ValueError if it has another shape."""
        draw_bins(figure, self.partition, *beam_and_masked(self._bins), frame=frame)

    def with_partition(self, partition: Partition) -> Self:
        """Return the same technique with other bins."""
        other = copy(self)
        other.partition, other.rings = partition, rings(partition)
        return other

    def with_bank(self, bank: Bank) -> Self:
        """Return the same technique with another bank."""
        other = copy(self)
        other.bank = bank
        return other

    def scorer(self, given: Mapping[str, Any]) -> NoveltyScorer:
        """Return the scorer for rings with these options of `Bank.features`."""
        return calibrated(self.bank, self.encoder, **given)
