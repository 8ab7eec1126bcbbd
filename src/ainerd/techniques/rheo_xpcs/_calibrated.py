"""The scorer for runs of given statistics: some seconds' work, done once and kept."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from ainerd.latent import Encoder, ModelError, read_tensors, write_weights
from ainerd.novelty import NoveltyScorer
from ainerd.techniques.rheo_xpcs._bank import Bank
from ainerd.techniques.rheo_xpcs._features import TERMS

logger = logging.getLogger(__name__)

KIND = "calibration"
_ROOMS = ("latent", "novelty", "dynamics")
MOST, MOST_KNOWN = 100, 16  # files, and scorers in memory: 4 MB each, read from its file in a hundredth of a second
_known: dict[str, NoveltyScorer] = {}
_making = Lock()  # so that two runs that end together do the work once


def calibrated(bank: Bank, encoder: Encoder, *, photons: float, **seen: Any) -> NoveltyScorer:
    """A scorer fitted to the bank's exposures as runs of these statistics see them.

    It is kept for this process, and in a file of the user's cache for the next one: there is nothing in the file that
    cannot be made again.

    Parameters
    ----------
    photons : float
        Per pixel in the whole exposure.
    **seen
        What else `Bank.features` takes.
    """
    seen["counts"] = photons
    key = hashlib.sha256(
        json.dumps([bank.id, encoder.linear.sha256, _sources(), np.__version__, seen]).encode()
    ).hexdigest()
    path = user_cache_path("ainerd") / f"{key}.safetensors"
    with _making:
        if key in _known:
            _known[key] = _known.pop(key)  # the one used last is the last to go
        else:
            try:
                _known[key] = _read(path)
            except (ModelError, KeyError):  # not there, or damaged
                features = bank.features(encoder, n_frames=1, seed=0, **seen)
                _known[key] = NoveltyScorer(terms=TERMS).fit(features, bank.families)
                _keep(path, _known[key])
            for unused in [*_known][:-MOST_KNOWN]:
                del _known[unused]
        with suppress(OSError):
            _use(path)
        return _known[key]


def _read(path: Path) -> NoveltyScorer:
    """A scorer that was kept; ModelError if it is not what was written."""
    tensors, recipe = read_tensors(path, KIND)
    if recipe.get("digest") != _digest(tensors) or not all(np.isfinite(array).all() for array in tensors.values()):
        raise ModelError(f"{path}: damaged")
    return NoveltyScorer.restored(tensors, recipe["kinds"], TERMS)


def _digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    parts = (name.encode() + np.ascontiguousarray(tensors[name]).tobytes() for name in sorted(tensors))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _keep(path: Path, scorer: NoveltyScorer) -> None:
    """Write a file, and remove those not used for longest if there are many; whoever cannot goes without."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        state = scorer.state()
        write_weights(part, state, {"kind": KIND, "kinds": scorer.kinds_.tolist(), "digest": _digest(state)})
        part.replace(path)
        for old in sorted(path.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns)[:-MOST]:
            old.unlink()
    except OSError as error:
        logger.info("the calibration is not kept: %s", error)
        with suppress(OSError):
            part.unlink()


def _use(path: Path) -> None:
    """Note on a file that it was used now, exactly: the time that the system would give is the same for some ms."""
    now = time.time_ns()
    os.utime(path, ns=(now, now))


@cache
def _sources() -> str:
    """Digest of the code that a calibration comes from."""
    here = Path(__file__).parent
    files = sorted(file for room in (here, *(here.parents[1] / name for name in _ROOMS)) for file in room.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
