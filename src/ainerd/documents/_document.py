"""Documents by the schema of event-model, and in lines of JSON."""

import json
import logging
from collections.abc import Iterator
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
            for number, line in enumerate(lines, 1):
                try:
                    record = json.loads(line)
                    document = checked(record["name"], record["doc"])
                except (ValueError, KeyError, TypeError) as error:
                    logger.warning("left out %s, line %d, which holds no document: %s", file, number, error)
                else:
                    yield document
