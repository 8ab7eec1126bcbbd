"""Documents as bytes on a wire: msgpack with numpy arrays, and nothing that executes."""

from typing import Any

import jsonschema
import numpy as np
from event_model import DocumentNames, schema_validators
from msgpack.fallback import Unpacker

Document = tuple[str, dict[str, Any]]

LARGEST = 64 * 2**20  # bytes of a message: frames do not travel in documents
KINDS = "biufcSU"  # of arrays: bool, numbers, text


class WireError(ValueError):
    """Bytes that are no Bluesky document; the message says why."""


def unpack(payload: bytes) -> Any:
    """Values from msgpack, arrays as msgpack-numpy writes them, but for object arrays: these would be pickle.

    WireError if the bytes are not that.
    """
    try:
        # not msgpack.unpackb: once msgpack_numpy.patch() was called, in bluesky_kafka for one, that reads pickle
        unpacker = Unpacker(None, object_hook=_array, strict_map_key=False, max_buffer_size=LARGEST)
        unpacker.feed(payload)
        value = unpacker.unpack()
        if unpacker.tell() != len(payload):
            raise WireError(f"{len(payload)} bytes of which {unpacker.tell()} are a value")
        return value
    except WireError:
        raise
    except Exception as error:  # msgpack raises a dozen kinds
        raise WireError(f"{len(payload)} bytes that are not msgpack ({type(error).__name__})") from None


def checked(name: Any, doc: Any) -> Document:
    """A document that keeps event-model's schema; WireError if it does not, or there is no such kind of document."""
    try:
        validator = schema_validators[DocumentNames[name]]
        validator.validate(doc)
    except (KeyError, TypeError):
        raise WireError(f"no kind of document is called {str(name)[:40]!r}") from None
    except jsonschema.ValidationError as error:
        raise WireError(f"{name} document: {error.message[:200]}") from None
    except (RecursionError, ValueError) as error:  # values too deep inside each other, or too long to be shown
        raise WireError(f"{name} document: {type(error).__name__}") from None
    return name, doc


def _array(value: dict[Any, Any]) -> Any:
    if b"nd" not in value:
        return value
    dtype = np.dtype(value[b"type"]) if isinstance(value[b"type"], str) else None
    if dtype is None or dtype.kind not in KINDS:
        raise WireError("an array of objects or records: numbers and text are taken")
    flat = np.frombuffer(value[b"data"], dtype)
    return flat.reshape(value[b"shape"]) if value[b"nd"] else flat[0]
