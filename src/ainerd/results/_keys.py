"""Keys that make a replay find the result it would write again."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from ainerd.words import storable

_RESULTS = uuid.UUID("dc3e2379-5c58-5457-8cb3-b797fe6eabe7")  # uuid5(NAMESPACE_URL, "ainerd/results")


def digest(parameters: Mapping[str, Any]) -> str:
    """Digest of everything that changes the numbers of a result.

    The first 16 hexadecimal digits of the SHA-256 of the canonical JSON: the order of keys does not matter. ValueError
    if the parameters are not JSON, without NaN.
    """
    try:
        text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameters must be plain JSON values without NaN: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def result_key(identity: str, parameters: Mapping[str, Any]) -> str:
    """Key of the result of something analysed with these parameters: a uuid5, the same each time.

    Parameters
    ----------
    identity : str
        What the result is of: the uid of a run's start document, or what `event_identity` or `series_identity` gives.
    parameters : mapping
        As for `digest`.
    """
    return key_of(identity, digest(parameters))


def key_of(identity: str, digest: str) -> str:
    """The same, where the digest of the parameters is known."""
    return str(uuid.uuid5(_RESULTS, storable(f"{identity}:{digest}")))


def event_identity(raw_uid: str, event: int) -> str:
    """Identity of an event of a run, numbered from 1."""
    return f"{raw_uid}/{event}"


def series_identity(series_id: str) -> str:
    """Identity of a series of runs: by the key of their start documents and its value, ``ramp=cooling 1``."""
    return f"series/{series_id}"
