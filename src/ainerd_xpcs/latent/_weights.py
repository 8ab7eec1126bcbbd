"""Weight files, safetensors with one JSON recipe in their metadata, and the networks they hold, run by numpy."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHIPPED = Path(__file__).parent / "weights"
_KEY = "ainerd"
Tensors = Mapping[str, NDArray[np.float32]]


class ModelError(ValueError):
    """A weight file is missing, damaged or of the wrong kind; the message names it.

    Examples
    --------
    >>> path = folder / "mine.safetensors"
    >>> _ = path.write_bytes(b"no weights")
    >>> Encoder.load(path)
    Traceback (most recent call last):
        ...
    ainerd_xpcs.latent._weights.ModelError: ...mine.safetensors: damaged, or not a safetensors file ...
    """


def digest(path: Path) -> str:
    """Return the SHA-256 of a weight file; raise `ModelError` if it cannot be read.

    Examples
    --------
    >>> path = folder / "mine.safetensors"
    >>> _ = path.write_bytes(b"abc")
    >>> digest(path)[:16]  # sha256sum prints the same
    'ba7816bf8f01cfea'
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None


def write_weights(path: Path, tensors: Mapping[str, NDArray[Any]], recipe: Mapping[str, Any]) -> None:
    """Write tensors with the recipe that made them; `recipe["kind"]` names the kind of file.

    The bytes depend on the content alone. The file is whole or not there: one that it replaces is kept until then.

    Examples
    --------
    >>> path = folder / "mine.safetensors"
    >>> write_weights(path, {"mean": np.array([1.5, 2.5], np.float32)}, {"kind": "mine"})
    >>> read_weights(path, "mine", {"mean": 1})[0]["mean"]
    array([1.5, 2.5], dtype=float32)
    """
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    # One key, because the order of several keys in the file is not defined.
    metadata = {_KEY: json.dumps(recipe, sort_keys=True)}
    # save() writes the memory of an array and ignores its strides.
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(save(contiguous, metadata))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def kind_of(path: Path) -> str:
    """Return the kind in the recipe of a file, or "" without one; raise `ModelError` if it cannot be read.

    Examples
    --------
    >>> path = folder / "mine.safetensors"
    >>> write_weights(path, {"mean": np.zeros(3, np.float32)}, {"kind": "mine"})
    >>> kind_of(path)
    'mine'
    """
    return str(_read(path)[1].get("kind", ""))


def read_weights(path: Path, kind: str, ranks: Mapping[str, int]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read tensors and recipe of a file of `kind`; raise `ModelError` if it is another kind or damaged.

    The tensors must have exactly the names and numbers of axes in `ranks`, and finite values.

    Examples
    --------
    >>> path = folder / "mine.safetensors"
    >>> write_weights(path, {"mean": np.array([0.0, np.inf])}, {"kind": "mine"})
    >>> read_weights(path, "mine", {"mean": 1})
    Traceback (most recent call last):
        ...
    ainerd_xpcs.latent._weights.ModelError: ...mine.safetensors: holds values that are not finite
    """
    tensors, recipe = read_tensors(path, kind)
    if {name: array.ndim for name, array in tensors.items()} != dict(ranks):
        raise ModelError(f"{path}: holds {', '.join(sorted(tensors))} where {', '.join(sorted(ranks))} are expected")
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise ModelError(f"{path}: holds values that are not finite")
    return tensors, recipe


def read_tensors(path: Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read tensors of any names, and the recipe, of a file of `kind`; raise `ModelError` as `read_weights` does.

    Examples
    --------
    >>> path = folder / "bank.safetensors"
    >>> write_weights(path, {"p": np.array([0.1, 0.5])}, {"kind": "bank", "seed": 3})
    >>> tensors, recipe = read_tensors(path, "bank")
    >>> tensors["p"], recipe["seed"]
    (array([0.1, 0.5]), 3)
    """
    tensors, recipe = _read(path)
    if recipe.get("kind") != kind:
        raise ModelError(f"{path}: of kind {recipe.get('kind')!r}, where an ainerd file of kind {kind!r} is expected")
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
        raise ModelError(f"{path}: damaged, its recipe is not a table")
    return tensors, recipe


def tower_ranks(name: str, depth: int) -> dict[str, int]:
    """Return the names of the tensors of a tower and their numbers of axes.

    A tower is a linear layer, residual blocks and a normalized linear layer; `ainerd_train` trains it.
    """
    layers = [f"{name}.{b}.{part}" for b in range(1, depth + 1) for part in ("norm", "up", "down")]
    layers += [f"{name}.{b}" for b in (0, depth + 1, depth + 2)]
    norms = {f"{name}.{depth + 1}"}
    return {f"{layer}.bias": 1 for layer in layers} | {
        f"{layer}.weight": 1 if layer.endswith("norm") or layer in norms else 2 for layer in layers
    }


def run_tower(tensors: Tensors, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pass rows (n, k) through a tower."""
    x = _linear(tensors, f"{name}.0", x)
    block = 1
    while f"{name}.{block}.norm.weight" in tensors:
        h = _linear(tensors, f"{name}.{block}.up", _normalized(tensors, f"{name}.{block}.norm", x))
        x = x + _linear(tensors, f"{name}.{block}.down", h / (1 + np.exp(-h)))
        block += 1
    return _linear(tensors, f"{name}.{block + 1}", _normalized(tensors, f"{name}.{block}", x))


def _linear(tensors: Tensors, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def _normalized(tensors: Tensors, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    x = x - x.mean(1, keepdims=True)
    x /= np.sqrt(np.square(x).mean(1, keepdims=True) + 1e-5)
    return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]
