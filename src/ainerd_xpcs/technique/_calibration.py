"""Calibration of verdicts: scorers for runs of given statistics, and p-values of simulated regimes of known kinds.

A scorer takes half a minute to fit, so it is cached in memory and on disk. Those of the simulated instrument are
shipped; ``ainerd calibrate --photons`` makes those of another one before its first session.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from ainerd.jobs import doing
from ainerd.novelty import NoveltyScorer
from ainerd.technique import Landmarks, NullRegimes
from ainerd_xpcs.latent import Encoder, ModelError, read_tensors, read_weights, write_weights
from ainerd_xpcs.technique._bank import Bank
from ainerd_xpcs.technique._features import RESIDUALS, TERMS, WEIGHTS

if TYPE_CHECKING:
    from ainerd_xpcs.technique._technique import RheoXPCS

logger = logging.getLogger(__name__)

KIND = "calibration"
RANKED = 2400  # exposures of the bank whose residuals are ranked; they take most of the time
CALIBRATING = "calibrating p-values for exposures of this noise, once (10 to 30 s; minutes on a busy machine)"
# Code that computes a scorer: a change of one of these files makes another key.
_SOURCES = (
    "ainerd/novelty/_scorer.py", "ainerd/novelty/_merged.py",
    "ainerd_xpcs/dynamics/*.py", "ainerd_xpcs/latent/_encoder.py", "ainerd_xpcs/latent/_grid.py",
    "ainerd_xpcs/latent/_run.py", "ainerd_xpcs/technique/_bank.py", "ainerd_xpcs/technique/_beats.py",
    "ainerd_xpcs/technique/_cells.py", "ainerd_xpcs/technique/_clean.py", "ainerd_xpcs/technique/_features.py",
    "ainerd_xpcs/technique/_material_time.py", "ainerd_xpcs/technique/_noise_by_lag.py",
    "ainerd_xpcs/technique/_opposite.py", "ainerd_xpcs/technique/_sectors.py",
)  # fmt: skip
PLACING = "placing simulated exposures on the latent map, once: some seconds"
SCORERS = Path(__file__).parent / "weights" / "scorers"
_MOST_FILES, _MOST_IN_MEMORY = 100, 16  # scorers of 2 MB, read from a file in a hundredth of a second
_scorers: dict[str, NoveltyScorer] = {}
_lock = Lock()
Tensors = dict[str, NDArray[Any]]
Recipe = dict[str, Any]


def calibrated(bank: Bank, encoder: Encoder, *, photons: float, **statistics: Any) -> NoveltyScorer:
    """Return a scorer fitted to the exposures of a bank with the noise of a run of these statistics.

    It is cached in memory and in a file of the user's cache, which can be made again at any time, unless it is shipped.

    Parameters
    ----------
    photons : float
        Photons per pixel in the whole exposure.
    **statistics
        Other options of `Bank.features`.
    """
    options = _options(photons=photons, **statistics)
    key = _key(bank, encoder, options)

    def fitted() -> tuple[Tensors, Recipe]:
        features = bank.features(encoder, n_frames=1, seed=0, n_ranked=RANKED, **options)
        return _parts_of(NoveltyScorer(terms=TERMS, residuals=RESIDUALS, weights=WEIGHTS).fit(features, bank.families))

    with _lock:  # two runs that end together fit it once
        if key not in _scorers:
            tensors, recipe = _cached(key, KIND, CALIBRATING, fitted)
            _scorers[key] = NoveltyScorer.restored(tensors, recipe["kinds"], TERMS, RESIDUALS, WEIGHTS)
            for oldest in [*_scorers][:-_MOST_IN_MEMORY]:
                del _scorers[oldest]
        return _scorers[key]


def write_scorer(folder: Path, bank: Bank, encoder: Encoder, **given: Any) -> Path:
    """Write the scorer that `calibrated` returns for the same options to a file in a folder, and return the file."""
    path = folder / f"{_key(bank, encoder, _options(**given))}.safetensors"
    tensors, recipe = _parts_of(calibrated(bank, encoder, **given))
    write_weights(path, tensors, recipe | {"kind": KIND})
    return path


def _parts_of(scorer: NoveltyScorer) -> tuple[Tensors, Recipe]:
    return scorer.state(), {"kinds": scorer.kinds_.tolist()}


def _options(*, photons: float, **statistics: Any) -> dict[str, Any]:
    """Return the options of `calibrated` as those of `Bank.features`."""
    return {**statistics, "counts": photons}


def _key(bank: Bank, encoder: Encoder, options: Mapping[str, Any]) -> str:
    parts = [bank.id, encoder.linear.sha256, _sources(), options]
    return hashlib.sha256(json.dumps(parts, default=lambda cells: cells.key).encode()).hexdigest()


def placed(bank: Bank, encoder: Encoder, **options: Any) -> Landmarks:
    """Return `Bank.landmarks` with these options, which take seconds; they are cached in a file as scorers are."""

    def made() -> tuple[Tensors, Recipe]:
        embeddings, names = bank.landmarks(encoder, **options)
        return {"embeddings": embeddings}, {"names": [*map(str, names)]}

    tensors, recipe = _cached(_key(bank, encoder, {"landmarks": options}), "landmarks", PLACING, made)
    return Landmarks(embeddings=tensors["embeddings"], names=recipe["names"])


def _cached(key: str, kind: str, doing_what: str, make: Callable[[], tuple[Tensors, Recipe]]) -> tuple[Tensors, Recipe]:
    """Return the tensors and the recipe of a file that is shipped, or in the user's cache; without it, make both.

    The oldest files in the cache go; a failure to write is logged.
    """
    name = f"{key}.safetensors"
    path = SCORERS / name if (SCORERS / name).exists() else user_cache_path("ainerd") / name
    with suppress(ModelError):  # missing or damaged
        return read_tensors(path, kind)
    with doing(doing_what):
        tensors, recipe = make()
    try:
        write_weights(path, tensors, recipe | {"kind": kind})
        for old in sorted(path.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns)[:-_MOST_FILES]:
            old.unlink()
    except OSError as error:
        logger.info("the calibration is not cached: %s", error)
    return tensors, recipe


@cache
def _sources() -> str:
    """Return the digest of the code that computes scorers."""
    rooms = Path(__file__).parents[2]
    files = (file for pattern in _SOURCES for file in sorted(rooms.glob(pattern)))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


_RANKS = {"by_look": 2, "smallest": 1, "whole": 1, "own": 2}


def null_regimes(technique: "RheoXPCS") -> NullRegimes | None:
    """Read the shipped file; None if it was made for another bank, encoder or alpha."""
    tensors, recipe = _read_regimes()
    if not purpose_of(technique).items() <= recipe.items():
        return None
    return NullRegimes(**{name: tensors[name].astype(float) for name in _RANKS})


def purpose_of(technique: "RheoXPCS") -> dict[str, str | float]:
    """Return the parameters for which a file of simulated regimes is valid."""
    return {"bank": technique.bank.id, "encoder": technique.encoder.sha256, "alpha": technique.alpha}


@cache
def _read_regimes() -> tuple[dict[str, NDArray[np.float32]], dict[str, object]]:
    return read_weights(Path(__file__).parent / "weights" / "regimes.safetensors", "regimes", _RANKS)
