"""The scorer for runs of given statistics: some seconds' work, done once and kept."""

import hashlib
import json
import logging
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from ainerd.latent._encoder import Encoder
from ainerd.latent._weights import ModelError, read_kept, write_weights
from ainerd.novelty import NoveltyScorer
from ainerd.techniques.rheo_xpcs._bank import Bank
from ainerd.techniques.rheo_xpcs._features import TERMS

logger = logging.getLogger(__name__)

KIND = "calibration"
_ROOMS = ("latent", "novelty", "dynamics")
MOST = 30  # files, of 4 MB each
_known: dict[str, NoveltyScorer] = {}


def calibrated(
    bank: Bank,
    encoder: Encoder,
    *,
    photons: float,
    n_pixels: float,
    contrast: float,
    n_roi: int,
    by_azimuth: bool = True,
) -> NoveltyScorer:
    """A scorer fitted to the bank's exposures as runs of these statistics see them.

    It is kept for this process, and in a file of the user's cache for the next one: there is nothing in the file that
    cannot be made again.

    Parameters
    ----------
    photons : float
        Per pixel in the whole exposure.
    n_pixels, contrast, n_roi, by_azimuth
        Pixels per bin, beta, azimuthal bins, and whether these are told apart.
    """
    seen: dict[str, Any] = {"counts": photons, "n_pixels": n_pixels, "contrast": contrast}
    seen |= {"n_roi": n_roi, "by_azimuth": by_azimuth}
    key = hashlib.sha256(json.dumps([bank.id, encoder.sha256, _sources(), np.__version__, seen]).encode()).hexdigest()
    if key not in _known:
        path = user_cache_path("ainerd") / f"{key}.safetensors"
        try:
            tensors, recipe = read_kept(path, KIND)
            _known[key] = NoveltyScorer.restored(tensors, recipe["kinds"], TERMS)
        except (ModelError, KeyError):  # not there, or damaged
            features = bank.features(encoder, n_frames=1, seed=0, **seen)
            _known[key] = NoveltyScorer(terms=TERMS).fit(features, bank.families)
            _keep(path, _known[key])
    return _known[key]


def _keep(path: Path, scorer: NoveltyScorer) -> None:
    """Write a file, and remove the oldest if there are many; whoever cannot goes without."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        write_weights(part, scorer.state(), {"kind": KIND, "kinds": scorer.kinds_.tolist()})
        part.replace(path)
        for old in sorted(path.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)[:-MOST]:
            old.unlink()
    except OSError as error:
        logger.info("the calibration is not kept: %s", error)
        with suppress(OSError):
            part.unlink()


@cache
def _sources() -> str:
    """Digest of the code that a calibration comes from."""
    here = Path(__file__).parent
    files = sorted(file for room in (here, *(here.parents[1] / name for name in _ROOMS)) for file in room.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
