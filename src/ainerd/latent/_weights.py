"""Weight files: safetensors with one JSON recipe in their metadata."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHIPPED = Path(__file__).parent / "weights"
_KEY = "ainerd"


class ModelError(ValueError):
    """A weight file is missing, damaged or not what it should be; the message names it."""


def digest(path: Path) -> str:
    """SHA-256 of a weight file; raises `ModelError` if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None


def write_weights(path: Path, tensors: Mapping[str, NDArray[Any]], recipe: Mapping[str, Any]) -> None:
    """Write tensors with the recipe they came from; `recipe["kind"]` says what they are.

    The bytes depend on the content alone.
    """
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    # One key, because the order of several in the file is not defined.
    metadata = {_KEY: json.dumps(recipe, sort_keys=True)}
    # save() writes the buffer of an array as it lies in memory, whatever its strides.
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    path.write_bytes(save(contiguous, metadata))


def kind_of(path: Path) -> str:
    """What the recipe of a file calls it, "" if it has none; raises `ModelError`."""
    return str(_read(path)[1].get("kind", ""))


def read_weights(
    path: Path, kind: str, ranks: Mapping[str, int], *, finite: bool = True
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Tensors and recipe of a file of `kind`; raises `ModelError`.

    The tensors must be finite, unless told otherwise, and have exactly the names and numbers of axes in `ranks`.
    """
    tensors, recipe = read_kept(path, kind)
    if {name: array.ndim for name, array in tensors.items()} != dict(ranks):
        raise ModelError(f"{path}: holds {', '.join(sorted(tensors))} where {', '.join(sorted(ranks))} are expected")
    if finite and not all(np.isfinite(array).all() for array in tensors.values()):
        raise ModelError(f"{path}: holds values that are not finite")
    return tensors, recipe


def read_kept(path: Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Tensors, of whatever names, and recipe of a file of `kind`; raises `ModelError`."""
    tensors, recipe = _read(path)
    if recipe.get("kind") != kind:
        raise ModelError(f"{path}: not an ainerd {kind} file; write one with 'ainerd train'")
    return tensors, recipe


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            recipe = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or 'no such file'})") from None
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"{path}: damaged, or not a safetensors file ({error})") from None
    if not isinstance(recipe, dict):
        raise ModelError(f"{path}: damaged, its recipe is no table")
    return tensors, recipe
