"""Documents in bytes and in lines of text: msgpack with numpy arrays, which cannot execute code, and JSON."""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
from event_model import DocumentNames, schema_validators
from msgpack.fallback import Unpacker

logger = logging.getLogger(__name__)

Document = tuple[str, dict[str, Any]]

LARGEST = 64 * 2**20  # bytes of a message, which does not contain frames
KINDS = "biufcSU"  # accepted kinds of arrays: bool, numbers, text


class WireError(ValueError):
    """Raised if bytes are not a Bluesky document; the message gives the reason."""


def unpack(payload: bytes) -> Any:
    """Decode msgpack, with arrays in the format of msgpack-numpy.

    Raises WireError for invalid data, and for object arrays, because they are pickle.

    Examples
    --------
    >>> unpack(bytes([0x81, 0xA1, 0x61, 1]))
    {'a': 1}
    """
    try:
        # do not use msgpack.unpackb: bluesky_kafka calls msgpack_numpy.patch(), after which it reads pickle
        unpacker = Unpacker(None, object_hook=_array, strict_map_key=False, max_buffer_size=LARGEST)
        unpacker.feed(payload)
        value = unpacker.unpack()
        if unpacker.tell() != len(payload):
            raise WireError(f"the message has {len(payload)} bytes, but its value ends after {unpacker.tell()}")
        return value
    except WireError:
        raise
    except Exception as error:  # msgpack raises a dozen types of errors
        raise WireError(f"{len(payload)} bytes that are not msgpack ({type(error).__name__})") from None


def _array(value: dict[Any, Any]) -> Any:
    if b"nd" not in value:
        return value
    dtype = np.dtype(value[b"type"]) if isinstance(value[b"type"], str) else None
    if dtype is None or dtype.kind not in KINDS:
        raise WireError("an array of objects or records: numbers and text are taken")
    flat = np.frombuffer(value[b"data"], dtype)
    return flat.reshape(value[b"shape"]) if value[b"nd"] else flat[0]


def checked(name: Any, doc: Any) -> Document:
    """Return a document if it matches event-model's schema; raise WireError if not, or if its kind is unknown.

    Examples
    --------
    >>> name, doc = checked("stop", {"uid": "a", "run_start": "b", "time": 0.0, "exit_status": "success"})
    >>> name
    'stop'
    """
    try:
        schema_validators[DocumentNames[name]].validate(doc)
    except (KeyError, TypeError):
        raise WireError(f"no kind of document is called {str(name)[:40]!r}") from None
    except jsonschema.ValidationError as error:
        raise WireError(f"{name} document: {error.message[:200]}") from None
    except (RecursionError, ValueError) as error:  # values nested too deeply, or too long to print
        raise WireError(f"{name} document: {type(error).__name__}") from None
    return name, doc


def file_documents(path: Path, *, by_schema: bool = True) -> Iterator[Document]:
    """Yield the documents of a ``.jsonl`` file, or of all such files in a folder, oldest file first.

    Lines without a document, such as the last line of a truncated file, are logged and left out. Documents that do not
    match event-model's schema are treated in the same way, unless `by_schema` is False, which is for a run that was
    accepted before. Raises ValueError if the file does not exist.

    Examples
    --------
    >>> import json
    >>> with open(folder / "run.jsonl", "w") as file:
    ...     for name, document in documents[:2]:
    ...         print(json.dumps({"name": name, "doc": document}), file=file)
    ...     print('{"name": "ev', file=file)
    >>> [name for name, document in file_documents(folder / "run.jsonl")]  # without the line that was cut off
    ['start', 'descriptor']
    """
    files = sorted(path.glob("*.jsonl"), key=lambda file: file.stat().st_mtime) if path.is_dir() else [path]
    if not all(file.is_file() for file in files):
        raise ValueError(f"no file {path}: give a .jsonl file, or a folder of them")
    for file in files:
        with file.open(errors="replace") as lines:
            yield from line_documents(lines, file, by_schema=by_schema)


def line_documents(lines: Iterable[str], file: Path, *, by_schema: bool = True) -> Iterator[Document]:
    """Yield the documents in the lines of a file, see `file_documents`; the log names the file."""
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            name, doc = record["name"], record["doc"]
            if not isinstance(doc, dict) or not isinstance(name, str):
                raise TypeError(name)
            document = checked(name, doc) if by_schema else (name, doc)
        except WireError as error:
            logger.warning("left out %s, line %d: %s", file, number, error)
        except (ValueError, KeyError, TypeError, RecursionError):  # no JSON, or values too deep or too long to read
            logger.warning("left out %s, line %d: it holds no document", file, number)
        else:
            yield document
