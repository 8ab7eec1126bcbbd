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


def file_documents(path: Path, lines: Iterable[str] | None = None, *, by_schema: bool = True) -> Iterator[Document]:
    """Yield the documents of a ``.jsonl`` file, or of all such files in a folder, oldest file first.

    Lines without a document, such as the last line of a truncated file, are logged and left out. Documents that do not
    match event-model's schema are treated in the same way, unless `by_schema` is False, which is for a run that was
    accepted before. If `lines` of a file are given, only they are used. Raises ValueError if the file does not exist.

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
    if lines is None:
        files = sorted(path.glob("*.jsonl"), key=lambda file: file.stat().st_mtime) if path.is_dir() else [path]
        if not all(file.is_file() for file in files):
            raise ValueError(f"no file {path}: give a .jsonl file, or a folder of them")
        for file in files:
            with file.open(errors="replace") as lines:
                yield from file_documents(file, lines, by_schema=by_schema)
        return
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            name, doc = record["name"], record["doc"]
            if not isinstance(doc, dict) or not isinstance(name, str):
                raise TypeError(name)
        except (ValueError, KeyError, TypeError, RecursionError):  # no JSON, or values too deep or too long to read
            logger.warning("left out %s, line %d: it holds no document", path, number)
            continue
        try:
            yield checked(name, doc) if by_schema else (name, doc)
        except ValueError as error:
            logger.warning("left out %s, line %d: %s", path, number, error)
