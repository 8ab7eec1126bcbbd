"""The calibration bank: exposures of known dynamics without noise, in memory and on disk.

A file needs a kilobyte for an exposure. |g1|² changes little along a diagonal of a map, so differences along diagonals
compress well. The parameters of the simulated exposures are in the file as well: a run of few frames needs maps of its
own cells.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import ainerd
from ainerd.threads import n_cores, one_thread
from ainerd_xpcs.dynamics import Domains, Dynamics, Sheared, nearest_covariances, noisy
from ainerd_xpcs.latent import COLS, ROWS, SIZE, Encoder, ModelError, digest, read_weights, write_weights
from ainerd_xpcs.technique._cells import Cells
from ainerd_xpcs.technique._clean import ALIKE, FLOW, MEASURED, TURNED, Clean, seen_from
from ainerd_xpcs.technique._features import features, sectors_of
from ainerd_xpcs.technique._opposite import differences
from ainerd_xpcs.technique._sectors import Sectors

Singles = NDArray[np.float32]

_ALONG_DIAGONALS = np.lexsort((ROWS, COLS - ROWS))
_NUMBERS = ("angle_deg", "phase", "shear")  # stored for each exposure


def write_bank(path: Path, clean: Sequence[Clean | Singles], families: Sequence[str], **recipe: Any) -> None:
    """Write a ``.safetensors`` file that `Bank.load` reads.

    `clean` are exposures, or their |g1|², (d, 64, 64), at the nine `DIRECTIONS`, d = 1 if all are the same; `families`
    are their kinds, and `recipe` is stored with them.
    """
    exposures = [each if isinstance(each, Clean) else Clean.at_directions(each) for each in clean]
    steps = np.concatenate([each.steps for each in exposures])[:, _ALONG_DIAGONALS]
    packed = zlib.compress(np.diff(steps, axis=1, prepend=np.int16(0)).astype("<i2").tobytes(), 9)
    parameters = json.dumps([None if each.dynamics is None else _given(each.dynamics) for each in exposures])
    tensors = {
        "g1_squared": np.frombuffer(packed, dtype=np.uint8),
        "dynamics": np.frombuffer(zlib.compress(parameters.encode(), 9), dtype=np.uint8),
        "maps": np.array([len(each.steps) for each in exposures]),
        **{name: np.array([getattr(each, name) for each in exposures], dtype=np.float64) for name in _NUMBERS},
    }
    recipe = {"ainerd": ainerd.__version__, **recipe, "kind": "bank", "exposure_families": list(families)}
    write_weights(path, tensors, recipe)


def read_bank(path: Path) -> tuple[list[Clean], list[str]]:
    """Read the exposures and their families; raise `ModelError`."""
    ranks = dict.fromkeys(("g1_squared", "dynamics", "maps", *_NUMBERS), 1)
    tensors, recipe = read_weights(path, "bank", ranks)
    counts, families = tensors["maps"], recipe.get("exposure_families", [])
    sizes = {len(tensors[name]) for name in ("maps", *_NUMBERS)}
    if sizes != {len(families)} or not set(counts.tolist()) <= {ALIKE, FLOW, TURNED, MEASURED}:
        raise ModelError(f"{path}: {len(families)} families do not fit {len(counts)} exposures")
    steps = np.empty((int(counts.sum()), ROWS.size), dtype="<i2")
    try:
        n_bytes = _unpack(tensors["g1_squared"].tobytes(), steps)
        parameters = json.loads(zlib.decompressobj().decompress(tensors["dynamics"].tobytes(), _MOST_PARAMETERS))
        dynamics = [None if given is None else _dynamics(given) for given in parameters]
    except (zlib.error, ValueError, TypeError) as error:
        raise ModelError(f"{path}: damaged ({error})") from None
    if n_bytes != steps.nbytes or len(dynamics) != len(families):
        raise ModelError(f"{path}: {len(families)} families do not fit the maps it holds")
    for row in steps:  # all at once would take twice the memory
        row[_ALONG_DIAGONALS] = row.cumsum(dtype=np.int16)
    numbers = np.column_stack([tensors[name] for name in _NUMBERS]).tolist()
    maps = np.split(steps, counts.cumsum()[:-1])
    rows = zip(maps, numbers, dynamics, strict=True)
    return [Clean(steps, angle, phase, shear, 1.0, given) for steps, (angle, phase, shear), given in rows], families


def _unpack(packed: bytes, out: NDArray[np.int16]) -> int:
    """Unpack into an array, piece by piece, as there is no room for all twice; return the number of bytes.

    It is larger than that of the array if there are more.
    """
    unpacker, into, at = zlib.decompressobj(), out.reshape(-1).view(np.uint8), 0
    while at <= into.size and (piece := unpacker.decompress(packed, min(_PIECE, into.size - at + 1))):
        into[at : at + len(piece)] = np.frombuffer(piece, dtype=np.uint8)[: into.size - at]
        at, packed = at + len(piece), unpacker.unconsumed_tail
    return at


def _given(dynamics: Dynamics | Domains | Sheared) -> dict[str, Any]:
    """Return the parameters that are not the defaults."""
    usual = dict(vars(Dynamics(family="", tau_s=1.0, second=None)), rest_s=np.inf)
    nested = {"second", "relaxation"}
    values = {name: _given(value) if name in nested and value else value for name, value in vars(dynamics).items()}
    return {name: value for name, value in values.items() if name in ("tau_s", "family") or value != usual.get(name)}


def _dynamics(given: Mapping[str, Any]) -> Dynamics | Domains | Sheared:
    """Return dynamics from their parameters; TypeError or ValueError if they are none."""
    if "relaxation" in given:
        relaxation = _dynamics(given["relaxation"])
        assert isinstance(relaxation, Dynamics)
        of = Domains if "rearranged_s" in given else Sheared
        return of(**{name: _tuples(value) for name, value in given.items()} | {"relaxation": relaxation})
    second = {"second": _dynamics(given["second"])} if "second" in given else {}
    return Dynamics(**{name: _tuples(value) for name, value in given.items()} | second)


def _tuples(value: Any) -> Any:
    """Return lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


_MOST_PARAMETERS, _PIECE = 100_000_000, 1_000_000  # bytes
_DUTIES = (0.0, 0.5, 1.0)  # one of these is drawn for each exposure: the duty of a run is unknown
_AT_ONCE = 32
# Errors that instruments add to the maps of a run beyond the noise of each bin: standard deviation of the baseline over
# the contrast, and largest standard deviation of an error of a moment against all others, in units of the noise of the
# mean map. Larger errors of a run are added.
BASELINE, FLICKER = 0.025, 1.0
# Relative standard deviation of a contrast of unknown error.
CONTRAST_ERR = 0.12
_DIRECTIONS = 5  # that are simulated if only their mean is known
_AHEAD = 8  # chunks that wait to be described
_FEW = SIZE + 2  # pixels below which Bartlett's decomposition does not hold
# Nine bins around the circle in nine directions: by Friedel's symmetry as good as eighteen.
_LANDMARK_PHI = np.arange(10.0, 360.0, 40.0)


class Bank:
    """Exposures without noise, to which the noise of a run's statistics is added; use `Bank.load`.

    There are `n` exposures, each of a family in `families`; `id` is the first twelve digits of the file's SHA-256.
    """

    def __init__(self, clean: Sequence[Clean], families: Sequence[str], *, id: str) -> None:
        self.clean, self.families, self.id = list(clean), list(families), id
        self.n = len(self.clean)
        self._seen_in: tuple[str, list[Clean]] = "", []  # the exposures as in the newest cells, by their key

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Bank":
        """Load the shipped bank, or one written by ``ainerd calibrate``; raise `ModelError`."""
        if path is None:
            return _shipped()
        clean, families = read_bank(Path(path))
        return cls(clean, families, id=digest(Path(path))[:12])

    @one_thread  # many small products: more threads would only wait for each other
    def features(
        self,
        encoder: Encoder,
        *,
        n_frames: float,
        counts: float,
        n_pixels: ArrayLike,
        contrast: float,
        contrast_err: float = CONTRAST_ERR,
        phi_deg: ArrayLike | None = None,
        n_roi: int | None = None,
        by_azimuth: bool = True,
        baseline: float | None = None,
        flicker: float = 0.0,
        cells: Cells | None = None,
        q_spread: float = 0.0,
        seed: int = 0,
        stop: Event | None = None,
        n_ranked: int | None = None,
    ) -> Singles:
        """Compute the features (n, 61) of each exposure with the noise of a run, see `run_features`.

        Each exposure has its own contrast, within the error of the run's. Where residuals are not computed, bins that
        see the same are simulated as one bin of all their pixels.

        Parameters
        ----------
        encoder : Encoder
            An encoder of maps of 64 px.
        n_frames, counts, contrast : float
            Number of frames; photons per pixel and frame; beta.
        n_pixels : float or array_like, shape (n_roi,)
            Pixels per bin.
        contrast_err : float
            Relative standard deviation of `contrast`.
        phi_deg : array_like, shape (n_roi,), optional
            Centres of the bins; by default equal and in order around the full circle.
        n_roi : int, optional
            Number of bins; by default that of the arrays, or 18.
        by_azimuth : bool
            Whether bins are distinguished; otherwise only their mean is used.
        baseline, flicker : float
            Standard deviation of an offset of all maps (by default `BASELINE` times the contrast), and of an error of
            each of 64 moments against all others; in units of C2.
        cells : Cells, optional
            Cells of the run; by default those of many frames.
        q_spread : float
            Half the range of q of the ring, relative to its q.
        seed : int
        stop : threading.Event, optional
            Another thread sets it to end the computation.
        n_ranked : int, optional
            Number of exposures, the first, whose residuals are computed, which takes most of the time; those of the
            others are NaN. By default all.

        Raises
        ------
        ValueError
            If a statistic is not positive.
        CancelledError
            If `stop` was set.
        """
        _check_positive(n_frames=n_frames, counts=counts, contrast=contrast, n_pixels=np.min(n_pixels))
        alone = 18 if phi_deg is None and np.ndim(n_pixels) == 0 else 1
        n = n_roi or max(np.size(n_pixels), alone if phi_deg is None else np.size(phi_deg))
        sectors = sectors_of(np.broadcast_to(np.asarray(n_pixels, dtype=float), n), phi_deg, by_azimuth)
        photons, rng = n_frames * counts, np.random.default_rng(seed)
        noise = (contrast + SIZE / photons) / np.sqrt(sectors.n_pixels.sum())
        offset = BASELINE * contrast if baseline is None else baseline
        exposures, shared = (self.clean, None) if cells is None else (self._in(cells), cells.shot)
        first, rest = np.split(np.arange(self.n), [self.n if n_ranked is None else n_ranked])
        chunks, pool = [*self._chunks(first), *self._chunks(rest)], ThreadPoolExecutor(n_cores())
        drawn, pixels = sectors if len(sectors.phi_deg) > 1 else _several(sectors), np.broadcast_to(n_pixels, n)
        described: list[Future[Singles]] = []
        with pool:
            for chunk in chunks:
                if stop is not None and stop.is_set():
                    raise CancelledError
                some, is_ranked = [exposures[k] for k in chunk], chunk[0] < first.size
                scale = contrast * np.exp(contrast_err * rng.uniform(-(3**0.5), 3**0.5, len(some)))
                clean = seen_from(some, drawn.phi_deg, drawn.width_deg, cells, q_spread)
                clean = clean * scale[:, None, None, None].astype(np.float32)
                if is_ranked and drawn is sectors:  # opposite bins are compared
                    of_bins = noised(sectors.of_bins(clean), pixels.astype(float), photons, rng, shared)
                    maps = sectors.average(of_bins)
                    differing: NDArray[np.float64] | None = differences(of_bins, sectors.pairs, pixels)
                else:
                    maps = noised(clean, drawn.n_pixels, photons, rng, shared)
                    differing = np.empty((len(some), 0, SIZE)) if is_ranked else None
                add_systematics(maps, noise, rng, baseline=offset, flicker=flicker)
                mean = drawn.mean(maps)
                seen = maps if drawn is sectors else mean[:, None]
                options: dict[str, Any] = {
                    "photons": photons,
                    "shared": shared,
                    "differing": differing,
                    "q_spread": q_spread,
                }
                described.append(pool.submit(features, encoder, mean, seen, sectors, **options))
                if len(described) > _AHEAD:
                    described[-_AHEAD].result()
        return np.concatenate([each.result() for each in described])[np.concatenate(chunks).argsort()]

    def landmarks(
        self, encoder: Encoder, *, n_frames: float, counts: float, n_pixels: float, contrast: float, n: int = 300
    ) -> tuple[Singles, list[str]]:
        """Return points (n, n_point) of the first exposures as runs of 18 bins, and their families."""
        _check_positive(n_frames=n_frames, counts=counts, contrast=contrast)
        which, rng = np.arange(min(n, self.n)), np.random.default_rng(0)
        pixels, width = np.full(_LANDMARK_PHI.size, 2.0 * n_pixels), np.full(_LANDMARK_PHI.size, 20.0)
        out = np.empty((which.size, encoder.n_point), dtype=np.float32)
        for chunk in self._chunks(which):
            clean = np.float32(contrast) * seen_from([self.clean[i] for i in chunk], _LANDMARK_PHI, width)
            maps = noised(clean, pixels, n_frames * counts, rng).reshape(-1, SIZE, SIZE)
            latent = encoder.encode(maps).reshape(len(chunk), pixels.size, -1)  # at once: in half the time
            out[chunk] = [encoder.point(z) for z in latent]
        return out, self.families[: which.size]

    def _in(self, cells: Cells) -> list[Clean]:
        """Return the exposures in the cells of a run; measured ones, whose dynamics are unknown, unchanged."""
        if self._seen_in[0] != cells.key:
            duty = np.random.default_rng(5).choice(_DUTIES, self.n).tolist()
            simulated = zip(self.clean, duty, strict=True)
            made = [one if one.dynamics is None else Clean.of(one.dynamics, cells, share) for one, share in simulated]
            self._seen_in = cells.key, made
        return self._seen_in[1]

    def _chunks(self, which: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """Yield a few exposures at a time, of one kind of maps."""
        kinds = np.array([self.clean[i].kind for i in which])
        for kind in np.unique(kinds):
            some = which[kinds == kind]
            yield from np.array_split(some, -(-some.size // _AT_ONCE))


def _several(sectors: Sectors) -> Sectors:
    """Return directions to simulate for the mean over all of them."""
    k = _DIRECTIONS
    return Sectors.of(np.full(k, sectors.n_pixels.sum() / k), 180 / k * (np.arange(k) + 0.5))


def noised(
    clean: Singles,
    n_pixels: NDArray[np.float64],
    photons: float,
    rng: np.random.Generator,
    shared: NDArray[np.float64] | None = None,
) -> Singles:
    """Return C2 maps (n, k, 64, 64) with the noise of sectors of `n_pixels`, (k,).

    `clean` is beta |g1|², (n, k, 64, 64), or (n, 1, 64, 64) if all sectors see the same. `shared`, (64, 64), is the
    covariance of the shot noise of the cells, as in `noisy`.
    """
    options: dict[str, Any] = {"n_frames": 1.0, "counts": photons, "rng": rng, "shared": shared}
    if clean.shape[1] == 1 and np.ptp(n_pixels) == 0 and n_pixels[0] >= _FEW:
        return _drawn(clean[:, 0], n_pixels=n_pixels[0], draws=len(n_pixels), **options)
    clean = np.broadcast_to(clean, (len(clean), len(n_pixels), SIZE, SIZE))
    few = n_pixels < _FEW
    if few.any():
        maps = np.empty(clean.shape, dtype=np.float32)
        shot = np.float32(SIZE / photons) * (np.eye(SIZE) if shared is None else shared).astype(np.float32)
        for k in np.flatnonzero(few):
            maps[:, k] = _noise_of_few(clean[:, k], max(round(n_pixels[k]), 1), shot, rng)
        if not few.all():
            maps[:, ~few] = noised(clean[:, ~few], n_pixels[~few], photons, rng, shared)
        return maps
    flat = np.ascontiguousarray(clean).reshape(-1, SIZE, SIZE)
    return _drawn(flat, n_pixels=np.tile(n_pixels, len(clean)), **options).reshape(clean.shape)


def _drawn(clean: Singles, **options: Any) -> Singles:
    """Return `noisy` maps of covariances that may be indefinite by rounding to 1/4096."""
    try:
        return noisy(clean, **options)
    except np.linalg.LinAlgError:  # only without shot noise
        return noisy(nearest_covariances(clean), **options)


def _noise_of_few(clean: Singles, n_pixels: int, shot: Singles, rng: np.random.Generator) -> Singles:
    """Simulate single pixels: the noise of fewer pixels than a map has cells along each time."""
    values, vectors = np.linalg.eigh(clean + shot)
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None]
    pixels = root @ rng.standard_normal((len(clean), SIZE, n_pixels), dtype=np.float32)
    return np.asarray(1 + pixels @ pixels.swapaxes(1, 2) / n_pixels - shot)


def add_systematics(
    maps: Singles, noise: float, rng: np.random.Generator, *, baseline: float = 0.005, flicker: float = 0.0
) -> None:
    """Add errors that all azimuths of a run share to maps (n, k, 64, 64) of n runs, in place.

    `noise` is the standard deviation of a cell of the mean map over azimuth, `baseline` that of an offset, `flicker`
    that of an error of a moment against all others.
    """
    n = len(maps)
    spread = np.hypot(FLICKER * noise * rng.random((n, 1)), flicker)
    wander = spread * rng.standard_normal((n, SIZE))
    offset = baseline * rng.standard_normal((n, 1, 1))
    maps += (offset + wander[:, :, None] + wander[:, None, :])[:, None].astype(np.float32)


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


@cache
def _shipped() -> Bank:
    """Return the shipped bank, read once: reading takes most of a second."""
    return Bank.load(Path(__file__).parent / "weights" / "bank.safetensors")
