"""Analysis of one ramp: frames by temperature while they arrive, then clusters, transitions and odd patches."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.ndimage import median_filter

from ainerd.technique import Analysis, AnalysisError, RunAnalysis, RunInfo, is_novel
from ainerd.threads import one_thread
from ainerd_xtec._clusters import Clusters, find_clusters, smoothing
from ainerd_xtec._follow import Moves, followed
from ainerd_xtec._pixels import Cut, Floats, Singles, averages, cut, odd_patches, patches, rescale, unmeasured
from ainerd_xtec._settings import XTECSettings
from ainerd_xtec._transitions import Posteriors, Trajectories, Transition, posteriors, transitions, unmixed

if TYPE_CHECKING:
    from ainerd_xtec._technique import XTEC

FEWEST_TEMPERATURES = 4
FEWEST_PIXELS = 50
LOST = 0.7  # share of the counts around a temperature, below which the beam was lost in an area
AREAS = 16  # of a frame; the beam was lost at a temperature if it was in most of them
SCATTERED = 0.01  # share of pixels that are negative at some temperatures, if these are data
MARKS = 2  # negative numbers by which a detector marks pixels, such as -1 between modules and -2 for a dead one
SEEN = 5.0  # errors by which the counts of an area exceed zero
POINT = 15  # numbers of the embedding
MOST_NAMED = 4  # transitions in the summary
MOST_CLUSTERS = 8  # that are tried
NEIGHBOURS, IN_CELL = 1.0, 0.1  # lengths of `smoothing`: in pixels, and within a zone
MEMORY = 4e9  # bytes for frames and trajectories; the rest goes to temporary files
DIM = 0.5  # share of zeros in all frames, above which a peak may vanish to 0 before the ramp ends
BRIGHT = 3.0  # times the cut: Bragg peaks rather than background


@dataclass(frozen=True)
class Group:
    """Frames at one temperature: its value, the frames in order, and the divisor of their counts."""

    temperature: float
    frames: tuple[int, ...]
    exposure: float


class Ramp(RunAnalysis):
    """The frames of a series so far.

    Runs may come in any order: frames are summed exactly and sorted by temperature before anything is computed. Each
    analysis sets the trajectories that the technique knows, to None if there are too few temperatures.
    """

    def __init__(self, technique: "XTEC", run: RunInfo) -> None:
        self._technique, self._settings, self._shape = technique, technique.settings, tuple(run.frame_shape)
        mask = technique.mask
        if mask is not None and mask.shape != self._shape:
            raise AnalysisError(f"frames of {_by(self._shape)} pixels, xtec.mask is of {_by(mask.shape)}")
        self.pixels: NDArray[np.int64] = np.flatnonzero(np.ones(self._shape, bool) if mask is None else ~mask)
        if not self.pixels.size:
            raise AnalysisError("xtec.mask leaves no pixel")
        self._frames: list[NDArray[Any]] = []
        self._numbers: list[int] = []  # of each frame in its run
        self._memory = MEMORY  # bytes that are left
        self._runs: list[tuple[RunInfo, int]] = [(run, 0)]  # and the number of its first frame

    def next_run(self, run: RunInfo) -> None:
        """Continue with another run of the series."""
        self._runs.append((run, len(self._frames)))
        if tuple(run.frame_shape) != self._shape:
            shapes = f"frames of {_by(run.frame_shape)} pixels in a series of {_by(self._shape)}"
            raise AnalysisError(f"{shapes}: the run is left out")

    def push(self, block: NDArray[Any], first: int) -> None:
        """Take the next frames."""
        self._numbers += range(first, first + len(block))
        kept = allocate(block.shape, block.dtype, self._memory)
        kept[:] = block
        self._frames += list(kept)
        self._memory = max(self._memory - kept.nbytes, 0.0)

    @one_thread
    def finish(self) -> Analysis:
        """Analyze the frames so far."""
        if not len(self._frames):
            raise AnalysisError("no frame arrived")
        settings, out = self._settings, self._marked()
        marked = int(out.sum())
        groups = self._lit(self._groups(), ~out.ravel()[self.pixels])
        if len(groups) < FEWEST_TEMPERATURES:
            self._technique.known = None  # steering starts again with this ramp
            at = ", ".join(f"{g.temperature:g}" for g in groups)
            frames = f"frames at {len(groups)} temperature(s) ({at or 'none'} {settings.unit})"
            raise AnalysisError(f"{frames}: trajectories need at least {FEWEST_TEMPERATURES}")
        dark = np.mean([np.mean(frame == 0) for frame in self._frames])
        missing = unmeasured(self._images(groups, out, None), may_vanish=bool(dark > DIM))
        out |= missing
        t = np.array([g.temperature for g in groups])
        moves = followed(self._images(groups, out, None), t)
        applied = moves if moves is not None and not moves.reason else None
        mean = sum(self._images(groups, out, applied), np.zeros(self._shape)) / len(groups)
        try:
            bright = cut(np.nan_to_num(mean.ravel()), settings.cut)
        except ValueError as error:
            raise AnalysisError(str(error)) from None
        n = int(bright.keep.sum())
        if n < FEWEST_PIXELS:
            missed = f"; {marked} are negative, the highest number or not finite in a frame" if marked else ""
            missed += f"; {missing.sum()} hold 0 where they were not measured" if missing.any() else ""
            divided = f"; frames are divided by {', '.join(settings.monitor)}" if settings.monitor else ""
            raise AnalysisError(
                f"{n} pixels stand out of the background: at least {FEWEST_PIXELS} are needed{missed}{divided}"
            )
        x = allocate((n, len(groups)), np.float32, self._memory)
        for column, image in enumerate(self._images(groups, out, applied)):
            x[:, column] = image.ravel()[bright.keep]
        if settings.scale == "log" and x.min() <= -1:
            raise AnalysisError('xtec.scale = "log" needs counts, and some are negative: take "mean" or "zscore"')
        left_out = len(self._frames) - sum(len(g.frames) for g in groups)
        counted = left_out, marked, int(missing.sum())
        analysis, self._technique.known = analyze(settings, t, x, mean, bright, moves, *counted)
        return analysis

    def _groups(self) -> list[Group]:
        settings, n = self._settings, len(self._frames)
        remedy = "give the device to the plan, or name it in xtec.temperature"
        temperature = self._read(settings.temperature, remedy, settings.unit)
        time, exposure = np.empty(n), np.ones(n)
        ends = [first for _, first in self._runs[1:]] + [n]
        for i, ((run, first), end) in enumerate(zip(self._runs, ends, strict=True)):
            time[first:end] = run.start.get("time", i) + np.array(self._numbers[first:end]) * (run.frame_time_s or 1e-3)
            if end - first > 1 and not np.ptp(temperature[first:end]):
                temperature[first:end] = self._flown(run, temperature[first:end])
        for key in settings.monitor:
            reading = self._read(key, "frames cannot be divided by it")
            counted = reading[np.isfinite(reading) & (reading != 0)]
            if not counted.size:
                raise AnalysisError(f"the monitor {key} reads 0 in all frames: take it out of xtec.monitor")
            exposure *= reading * np.sign(np.median(counted))  # the sign of a diode's current is that of its wiring
        return grouped(temperature, exposure, time, settings)

    def _read(self, key: str, without: str, unit: str = "") -> Floats:
        """Return the readings of each frame; raise AnalysisError, with the consequence, if there are none."""
        try:
            values = self._runs[0][0].readings.of_frames(key, unit).copy()
        except ValueError as error:
            raise AnalysisError(f"{error}, the unit in the settings") from None
        if values.size != len(self._frames) or not np.isfinite(values).any():
            raise AnalysisError(f"{key!r} was not read: {without}")
        return values

    def _flown(self, run: RunInfo, once: Floats) -> Floats:
        """Return the temperatures of the frames of a run during which it was recorded, not read with each frame."""
        settings, began = self._settings, run.start.get("time", -np.inf)
        others = [r.start.get("time", -np.inf) for r, _ in self._runs]
        ends = min((t for t in others if t > began), default=np.inf)
        time, value = run.readings.series(settings.temperature, settings.unit)
        within = (time >= began) & (time < ends)
        time, value = time[within], value[within]
        enough = 1e-3 * float(np.abs(once[0]))
        if value.size < 2 or np.ptp(value) <= enough:
            return once
        if run.frame_time_s is None:
            changed = f"{settings.temperature!r} changed during a run"
            todo = "read it with each frame, or name the key in [detector] frame_time_s"
            raise AnalysisError(f"{changed}, and the detector does not say how fast it takes frames: {todo}")
        return np.asarray(np.interp(began + (np.arange(once.size) + 0.5) * run.frame_time_s, time, value))

    def _marked(self) -> NDArray[np.bool_]:
        """Return the pixels, (ny, nx), that the detector marks in any frame: the highest, not finite, or negative.

        Negative numbers are data, as after the subtraction of a background, if there are more than two of them, or if
        many pixels are negative at some temperatures. Then the same one in all frames marks a pixel.
        """
        values: set[float] = set()
        ever, always = np.zeros(self.pixels.size, bool), np.ones(self.pixels.size, bool)
        out, same = ever.copy(), always.copy()
        for frame in self._frames:
            highest = np.inf if frame.dtype.kind == "f" else np.iinfo(frame.dtype).max
            out |= ~(frame < highest)
            ever |= (below := frame < 0)
            always &= below
            same &= frame == self._frames[0]
            if len(values) <= MARKS:
                values.update(np.unique(frame[below]).tolist())
        are_data = len(values) > MARKS or np.mean(ever & ~always) > SCATTERED
        marked = np.zeros(self._shape, bool)
        marked.ravel()[self.pixels] = out | (always & same if are_data else ever)
        return marked

    def _lit(self, groups: list[Group], good: NDArray[np.bool_]) -> list[Group]:
        """Return the temperatures at which the beam was there: most areas count as at the temperatures around."""
        if not groups:
            return groups
        counts = np.zeros((len(groups), AREAS))
        for row, group in zip(counts, groups, strict=True):
            for number in group.frames:
                row += [float(area.sum(dtype=float)) for area in np.array_split(self._frames[number][good], AREAS)]
            row /= group.exposure
        around = median_filter(counts, (5, 1), mode="nearest")
        noise = np.median(np.abs(np.diff(counts, axis=0)), axis=0) if len(counts) > 1 else 0.0
        share = np.divide(counts, around, out=np.ones_like(counts), where=around > SEEN * noise)
        lit = np.quantile(share, 0.75, axis=1) >= LOST
        return [each for each, is_lit in zip(groups, lit, strict=True) if is_lit]

    def _images(self, groups: list[Group], out: NDArray[np.bool_], moves: Moves | None) -> Iterator[Floats]:
        """Yield counts at each temperature, for the mean exposure, (ny, nx); NaN for pixels that are left `out`."""
        kind = np.result_type(np.int64, *{frame.dtype for frame in self._frames})
        for step, group in enumerate(groups):
            counts = np.zeros(self.pixels.size, kind)
            for number in group.frames:
                counts += self._frames[number]
            image = np.full(self._shape, np.nan)
            image.ravel()[self.pixels] = counts / group.exposure
            image[out] = np.nan
            yield image if moves is None else moves.undone(image, step)


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def allocate(shape: tuple[int, ...], dtype: DTypeLike, memory: float) -> NDArray[Any]:
    """Return an uninitialized array, in a temporary file if it is larger than `memory` bytes."""
    if math.prod(shape) * np.dtype(dtype).itemsize <= memory:
        return np.empty(shape, dtype)
    with TemporaryFile(prefix="ainerd-xtec-") as file:  # the mapping keeps the file after it is closed
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))


def grouped(temperature: Floats, exposure: Floats, time: Floats, settings: XTECSettings) -> list[Group]:
    """Group frames by ascending temperature; frames with NaN or without exposure are left out; arguments are (n,).

    The direction ("heating", "cooling", "both") of a frame is that of the ramp at its time; a ramp has turned when the
    temperature is more than a 300th of their range away from its extreme. Temperatures that differ by at most this are
    merged.
    """
    order = np.lexsort((temperature, time))
    order = order[np.isfinite(temperature[order]) & np.isfinite(exposure[order]) & (exposure[order] > 0)]
    if not order.size:
        return []
    t = temperature[order]
    merge = np.ptp(t) / 300
    if settings.direction != "both":
        order = order[_ways(t, merge) == (1 if settings.direction == "heating" else -1)]
    order = order[np.lexsort((order, time[order], temperature[order]))]
    groups: list[list[int]] = []
    for frame in order.tolist():
        if groups and temperature[frame] - temperature[groups[-1][0]] <= merge:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    total = math.fsum(exposure[order]) / max(len(order), 1)
    means = ((math.fsum(temperature[g]) / len(g), math.fsum(exposure[g]) / total) for g in map(np.array, groups))
    return [Group(at, tuple(g), divisor) for g, (at, divisor) in zip(groups, means, strict=True)]


def _ways(t: Floats, merge: float) -> NDArray[np.int64]:
    """Return the direction of a ramp at each temperature in time, (n,): 1 up, -1 down; 0 if it never changes."""
    way, out, low, high = 0, np.zeros(t.size, np.int64), t[0], t[0]
    for i, x in enumerate(t.tolist()):
        low, high = min(low, x), max(high, x)
        if way != 1 and x - low > merge:
            way, high = 1, x
        elif way != -1 and high - x > merge:
            way, low = -1, x
        out[i] = way
    known = out[out != 0]
    return np.where(out == 0, known[0] if known.size else 0, out)


def analyze(
    settings: XTECSettings, t: Floats, x: Singles, mean: Floats, bright: Cut, moves: Moves | None, left_out: int,
    marked: int, unmeasured: int,
) -> tuple[Analysis, Trajectories]:  # fmt: skip
    """Return the result of a ramp, and the trajectories for steering.

    `t` (n,) are the temperatures, `x` (m, n) the intensities of the kept pixels, which are scaled in place, and `mean`
    (ny, nx) is the mean frame. `left_out` frames, `marked` and `unmeasured` pixels are counted.
    """
    keep = bright.keep.reshape(mean.shape)
    patch = patches(keep)
    counts, size = averages(x, patch, patch.max() + 1)
    rescale(x, settings.scale)
    of_patches = rescale(counts.astype(np.float32), settings.scale)
    find = partial(_clusters, settings, x, of_patches, patch, keep)
    clusters = find(settings.clusters)
    k = clusters.mixture.k
    fine = clusters if k >= MOST_CLUSTERS else find(MOST_CLUSTERS)  # a cluster of few may mix two transitions
    of_clusters, spread, n_pixels = _trajectories(t, x, clusters, patch)
    known, *_ = _trajectories(t, x, fine, patch)
    posterior, of_fine = _posteriors(of_clusters, clusters), _posteriors(known, fine)
    within = [int(np.bincount(clusters.labels[fine.labels == i]).argmax()) for i in range(fine.mixture.k)]
    found = unmixed(known, of_fine.evidence, transitions(t, of_fine))
    shared = [replace(each, clusters=tuple(sorted({within[i] for i in each.clusters}))) for each in found]
    brightness = np.array([np.median(mean[keep][clusters.labels == i]) for i in range(k)])
    level = np.exp(bright.level) if np.isfinite(bright.level) else np.median(mean[keep])
    odd = odd_patches(of_patches.astype(np.float64), size, counts.mean(axis=1))
    compared = int(np.isfinite(odd).sum())
    oddest = np.argwhere(keep)[patch == np.nanargmin(odd)].mean(axis=0).tolist() if compared else (None, None)
    labels = np.full(keep.shape, -1, np.int16)
    labels[keep] = clusters.labels
    summary: dict[str, Any] = {
        "clusters": k,
        "stability": "stable" if clusters.stable else "unstable",
        "starts_agree": clusters.starts,
        "halves_agree": clusters.halves,
        "log_likelihood": clusters.mixture.score,
        "pixels": int(keep.sum()),
        "cut_counts": float(level),
        "temperatures": t.size,
        "lowest": float(t[0]),
        "highest": float(t[-1]),
        "direction": settings.direction,
        "frames_left_out": left_out,
        "pixels_marked": marked,
        "pixels_unmeasured": unmeasured,
        "transitions": len(shared),
        "noise_clusters": int(np.sum(~clusters.significant)),
        **_motion(moves),
        "odd_patches": int(np.sum(is_novel(odd * compared, settings.alpha))),
        "oddest_row": oddest[0],
        "oddest_column": oddest[1],
    }
    for number, s in enumerate(sorted(sorted(shared, key=lambda s: -s.evidence)[:MOST_NAMED], key=lambda s: s.at), 1):
        name = f"transition_{number}"
        summary |= {name: s.at, f"{name}_low": s.low, f"{name}_high": s.high}
        summary |= {f"{name}_merged": "yes"} if s.merged else {}
    arrays: dict[str, tuple[NDArray[Any], tuple[str, ...]]] = {
        "labels": (labels, ("row", "column")),
        "trajectories": (of_clusters.means.astype(np.float32), ("cluster", "step")),
        "trajectories_sd": (spread.astype(np.float32), ("cluster", "step")),
        "temperature": (t, ("step",)),
        "mean_frame": (mean.astype(np.float32), ("row", "column")),
    }
    analysis = Analysis(
        embedding=_embedding(t, of_clusters.means, [s.at for s in shared]),
        novelty_p=float(min(1.0, np.nanmin(odd) * compared)) if compared else None,
        arrays={name: array for name, (array, _) in arrays.items()},
        dims={name: dims for name, (_, dims) in arrays.items()},
        tables=_tables(clusters, n_pixels, brightness, level, posterior, shared),
        summary=summary,
        units=_units(summary, settings.unit),
        calibration={"id": "own-patches", "n": compared, "alpha": settings.alpha},
    )
    return analysis, known


def _clusters(
    settings: XTECSettings, x: Singles, of_patches: Singles, patch: NDArray[np.int64], keep: NDArray[np.bool_],
    n: int | None,
) -> Clusters:  # fmt: skip
    """Find `n` clusters of the trajectories `x` of pixels, smoothed as the settings ask, or of those of patches."""
    find = partial(find_clusters, k=n, most=MOST_CLUSTERS)
    if settings.smooth == "patches":
        clusters = find(of_patches)
        return replace(clusters, labels=clusters.labels[patch])
    if settings.smooth == "none":
        return find(x)
    cell = settings.smooth if isinstance(settings.smooth, tuple) else None
    return find(x, smooth=smoothing(np.argwhere(keep), IN_CELL if cell else NEIGHBOURS, cell))


def _trajectories(
    t: Floats, x: Singles, clusters: Clusters, patch: NDArray[np.int64]
) -> tuple[Trajectories, Floats, NDArray[np.int64]]:
    """Return the mean trajectories with errors from the scatter of patches, standard deviations, and pixel numbers."""
    k, labels = clusters.mixture.k, clusters.labels
    parts, place = np.unique(patch * k + labels, return_inverse=True)  # of patches, by cluster
    of_parts, pixels = averages(x, place, len(parts))
    share = (parts % k == np.arange(k)[:, None]) * pixels
    share = share / share.sum(axis=1, keepdims=True)
    means = share @ of_parts
    spread = np.sqrt(np.maximum(averages(x, labels, k, 2)[0] - means**2, 0))
    n_pixels = np.bincount(labels, minlength=k)
    errors = np.sqrt(share**2 @ (of_parts - means[parts % k]) ** 2 + spread**2 / n_pixels[:, None])
    return Trajectories(t, means, errors), spread, n_pixels


def _posteriors(known: Trajectories, clusters: Clusters) -> Posteriors:
    """Return the posteriors of transitions; clusters that are noise have no evidence."""
    posterior = posteriors(known.temperatures, known.means, known.errors)
    return replace(posterior, evidence=np.where(clusters.significant, posterior.evidence, np.nan))


def _tables(
    clusters: Clusters,
    n_pixels: NDArray[np.int64],
    brightness: Floats,
    level: float,
    posterior: Posteriors,
    shared: list[Transition],
) -> dict[str, dict[str, NDArray[Any]]]:
    is_bragg = brightness > BRIGHT * level
    kinds = [posterior.evident & (posterior.order > 0.5), posterior.evident, ~clusters.significant, is_bragg]
    guess = np.select(kinds, ["order parameter", "critical scattering", "noise", "Bragg"], "background")
    at = [next((s.at for s in shared if i in s.clusters), np.nan) for i in range(len(n_pixels))]
    of_clusters = {"pixels": n_pixels, "counts": brightness, "guess": guess, "transition": np.array(at)}
    tables: dict[str, dict[str, NDArray[Any]]] = {"cluster": of_clusters | {"evidence": posterior.evidence}}
    tables["tried"] = {"clusters": np.array([*clusters.tried]), "halves": np.array([*clusters.tried.values()])}
    if shared:
        columns = {
            name: np.array([getattr(s, name) for s in shared]) for name in ("at", "low", "high", "merged", "evidence")
        }
        tables["transition"] = columns | {"clusters": np.array([", ".join(map(str, s.clusters)) for s in shared])}
    return tables


def _units(summary: Mapping[str, Any], unit: str) -> dict[str, str]:
    units = dict.fromkeys((n for n, value in summary.items() if isinstance(value, int | float)), "1")
    units |= {n: unit for n in units if n.startswith("transition_") or n in ("lowest", "highest")}
    units |= {n: "px" for n in units if n in ("expansion_px", "expansion_px_err", "oddest_row", "oddest_column")}
    return units | {"temperature": unit, "transition": unit, "trajectories": "1", "counts": "1"}


def _motion(moves: Moves | None) -> dict[str, Any]:
    if moves is None:
        return {"followed": "no: too few peaks could be followed"}
    size = {"expansion_px": moves.farthest_px, "expansion_px_err": moves.error_px} if moves.alike else {}
    return {**size, "followed": f"no: {moves.reason}" if moves.reason else "yes"}


def _embedding(t: Floats, means: Floats, transitions: list[float]) -> Singles:
    """Return the transitions in ascending order, each `POINT` / their number times, over the root of `POINT`.

    The distance of two embeddings is then the rms shift in temperature. Without a transition they are temperatures at
    which equal shares of the total change of the trajectories have passed. That depends on steps, range and noise.
    """
    step = np.arange(POINT)
    if transitions:
        at = np.sort(transitions)[step * len(transitions) // POINT]
    else:
        change = np.abs(np.diff(means, axis=1)).sum(axis=0) + 1e-9
        at = np.interp((step + 0.5) / POINT, np.append(0, np.cumsum(change)) / change.sum(), t)
    return np.asarray(at / np.sqrt(POINT), dtype=np.float32)
