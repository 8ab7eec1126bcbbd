"""The bank on disk: clean maps without loss that matters, a kilobyte an exposure.

|g1|² is kept in steps of 1/4096, a hundredth of the least noise a run can have. Along a diagonal of a map it changes
little, so differences along diagonals compress well.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ainerd
from ainerd.dynamics import DIRECTIONS
from ainerd.latent._grid import COLS, ROWS, to_triangle
from ainerd.latent._weights import ModelError, read_weights, write_weights

STEPS = 4096
_ALONG_DIAGONALS = np.lexsort((ROWS, COLS - ROWS))
_BACK = _ALONG_DIAGONALS.argsort()


def write_bank(path: Path, clean: Sequence[NDArray[np.float32]], families: Sequence[str], **recipe: Any) -> None:
    """Write a ``.safetensors`` file that `Bank.load` reads.

    `clean` is |g1|², (d, 64, 64), of each exposure at the nine `DIRECTIONS`, d = 1 if all are alike; `families` say
    what each is known as, and `recipe` what it was made from.
    """
    triangles = np.concatenate([to_triangle(np.asarray(maps, dtype=np.float32)) for maps in clean])
    steps = np.round(triangles * STEPS).astype(np.int16)[:, _ALONG_DIAGONALS]
    packed = zlib.compress(np.diff(steps, axis=1, prepend=np.int16(0)).astype("<i2").tobytes(), 9)
    tensors = {
        "g1_squared": np.frombuffer(packed, dtype=np.uint8),
        "directions": np.array([len(maps) for maps in clean]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(
        path, tensors, {"ainerd": ainerd.__version__, **recipe, "kind": "bank", "exposure_families": list(families)}
    )


def read_bank(path: Path) -> tuple[list[NDArray[np.int16]], list[str]]:
    """Triangles (d, 2080) of each exposure, |g1|² in steps of 1 / `STEPS`, and its family; raises `ModelError`."""
    tensors, recipe = read_weights(path, "bank", {"g1_squared": 1, "directions": 1})
    directions, families = tensors["directions"], recipe.get("exposure_families", [])
    if len(directions) != len(families) or not set(directions.tolist()) <= {1, DIRECTIONS.size}:
        raise ModelError(f"{path}: {len(families)} families do not fit {len(directions)} exposures")
    size = 2 * int(directions.sum()) * ROWS.size
    unpacker = zlib.decompressobj()
    try:
        packed = unpacker.decompress(tensors["g1_squared"].tobytes(), size + 1)
    except zlib.error as error:
        raise ModelError(f"{path}: damaged ({error})") from None
    if len(packed) != size:
        raise ModelError(f"{path}: {len(families)} families do not fit the maps it holds")
    steps = np.frombuffer(packed, dtype="<i2").reshape(-1, ROWS.size).cumsum(1, dtype=np.int16)
    return np.split(steps[:, _BACK], directions.cumsum()[:-1]), families
