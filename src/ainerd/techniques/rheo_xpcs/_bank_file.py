"""The bank on disk: clean maps without loss that matters, a kilobyte an exposure.

Along a diagonal of a map |g1|² changes little, so differences along diagonals compress well.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ainerd
from ainerd.latent import COLS, ROWS, ModelError, read_weights, write_weights
from ainerd.techniques.rheo_xpcs._clean import ALIKE, FLOW, MEASURED, TURNED, Clean

_ALONG_DIAGONALS = np.lexsort((ROWS, COLS - ROWS))
_BACK = _ALONG_DIAGONALS.argsort()
_NUMBERS = ("angle_deg", "phase", "shear")  # of each exposure


def write_bank(
    path: Path, clean: Sequence[Clean | NDArray[np.float32]], families: Sequence[str], **recipe: Any
) -> None:
    """Write a ``.safetensors`` file that `Bank.load` reads.

    `clean` are exposures, or |g1|², (d, 64, 64), of each at the nine `DIRECTIONS`, d = 1 if all are alike; `families`
    say what each is known as, and `recipe` what it was made from.
    """
    kept = [each if isinstance(each, Clean) else Clean.at_directions(each) for each in clean]
    steps = np.concatenate([each.steps for each in kept])[:, _ALONG_DIAGONALS]
    packed = zlib.compress(np.diff(steps, axis=1, prepend=np.int16(0)).astype("<i2").tobytes(), 9)
    tensors = {
        "g1_squared": np.frombuffer(packed, dtype=np.uint8),
        "maps": np.array([len(each.steps) for each in kept]),
        "angle_deg": np.array([each.angle_deg for each in kept], dtype=np.float64),
        "phase": np.array([each.phase for each in kept], dtype=np.float64),
        "shear": np.array([each.shear for each in kept], dtype=np.float64),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(
        path, tensors, {"ainerd": ainerd.__version__, **recipe, "kind": "bank", "exposure_families": list(families)}
    )


def read_bank(path: Path) -> tuple[list[Clean], list[str]]:
    """The exposures and what each is known as; raises `ModelError`."""
    ranks = dict.fromkeys(("g1_squared", "maps", *_NUMBERS), 1)
    tensors, recipe = read_weights(path, "bank", ranks)
    counts, families = tensors["maps"], recipe.get("exposure_families", [])
    sizes = {len(tensors[name]) for name in ("maps", *_NUMBERS)}
    if sizes != {len(families)} or not set(counts.tolist()) <= {ALIKE, FLOW, TURNED, MEASURED}:
        raise ModelError(f"{path}: {len(families)} families do not fit {len(counts)} exposures")
    size = 2 * int(counts.sum()) * ROWS.size
    unpacker = zlib.decompressobj()
    try:
        packed = unpacker.decompress(tensors["g1_squared"].tobytes(), size + 1)
    except zlib.error as error:
        raise ModelError(f"{path}: damaged ({error})") from None
    if len(packed) != size:
        raise ModelError(f"{path}: {len(families)} families do not fit the maps it holds")
    steps = np.frombuffer(packed, dtype="<i2").reshape(-1, ROWS.size).cumsum(1, dtype=np.int16)[:, _BACK]
    about = np.column_stack([tensors[name] for name in _NUMBERS]).tolist()
    maps = np.split(steps, counts.cumsum()[:-1])
    return [Clean(of_it, *numbers) for of_it, numbers in zip(maps, about, strict=True)], families
