"""Documents by the schema of event-model, and in lines of JSON."""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
from event_model import DocumentNames, schema_validators

logger = logging.getLogger(__name__)

Document = tuple[str, dict[str, Any]]


def checked(name: Any, doc: Any) -> Document:
    """Return a document if it matches event-model's schema; raise ValueError if not, or if its kind is unknown.

    Examples
    --------
    >>> name, doc = checked("stop", {"uid": "a", "run_start": "b", "time": 0.0, "exit_status": "success"})
    >>> name
    'stop'
    """
    try:
        schema_validators[DocumentNames[name]].validate(doc)
    except (KeyError, TypeError):
        raise ValueError(f"no kind of document is called {str(name)[:40]!r}") from None
    except jsonschema.ValidationError as error:
        raise ValueError(f"{name} document: {error.message[:200]}") from None
    except (RecursionError, ValueError) as error:  # values nested too deeply, or too long to print
        raise ValueError(f"{name} document: {type(error).__name__}") from None
    return name, doc


def file_documents(path: Path) -> Iterator[Document]:
    r"""Yield the documents of a ``.jsonl`` file, or of all such files in a folder, oldest file first.

    Lines without a document, such as the last line of a truncated file, are logged and left out.

    Raises ValueError if the file does not exist.

    Examples
    --------
    >>> import json
    >>> start = {"uid": "a", "time": 0.0}
    >>> descriptor = {"uid": "b", "run_start": "a", "time": 0.0, "name": "primary", "data_keys": {}}
    >>> records = [{"name": "start", "doc": start}, {"name": "descriptor", "doc": descriptor}]
    >>> _ = (folder / "run.jsonl").write_text("\n".join(map(json.dumps, records)) + '\n{"name": "stop", "d')
    >>> [name for name, document in file_documents(folder / "run.jsonl")]  # without the line that was cut off
    ['start', 'descriptor']
    """
    files = sorted(path.glob("*.jsonl"), key=lambda file: file.stat().st_mtime) if path.is_dir() else [path]
    if not all(file.is_file() for file in files):
        raise ValueError(f"no file {path}: give a .jsonl file, or a folder of them")
    for file in files:
        with file.open(errors="replace") as lines:
            yield from _line_documents(lines, file)


def _line_documents(lines: Iterable[str], file: Path) -> Iterator[Document]:
    """Yield the documents in the lines of a file; the log names the file."""
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            name, doc = record["name"], record["doc"]
            if not isinstance(doc, dict) or not isinstance(name, str):
                raise TypeError(name)
        except (ValueError, KeyError, TypeError, RecursionError):  # no JSON, or values too deep or too long to read
            logger.warning("left out %s, line %d: it holds no document", file, number)
            continue
        try:
            yield checked(name, doc)
        except ValueError as error:
            logger.warning("left out %s, line %d: %s", file, number, error)
