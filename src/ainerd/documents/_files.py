"""Documents from the JSON lines that TiledWriter keeps of runs which Tiled did not take."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from ainerd.documents._wire import Document, WireError, checked

logger = logging.getLogger(__name__)


def file_documents(path: Path, *, by_schema: bool = True) -> Iterator[Document]:
    """Documents of a ``.jsonl`` file, or of all those in a folder, the oldest file first; ValueError if there is none.

    Lines that hold no document, such as the last one of a file cut short, are logged and left out; and those that break
    event-model's schema, unless they are not to be held against it (`by_schema`), as of a run that was taken already.
    """
    files = sorted(path.glob("*.jsonl"), key=lambda file: file.stat().st_mtime) if path.is_dir() else [path]
    if not all(file.is_file() for file in files):
        raise ValueError(f"no file {path}: give a .jsonl file, or a folder of them")
    for file in files:
        with file.open(errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    said = json.loads(line)
                    name, doc = said["name"], said["doc"]
                    if not isinstance(doc, dict):
                        raise TypeError(name)
                    yield checked(name, doc) if by_schema else (name, doc)
                except (json.JSONDecodeError, KeyError, TypeError):
                    logger.warning("left out %s, line %d: it holds no document", file, number)
                except WireError as error:
                    logger.warning("left out %s, line %d: %s", file, number, error)
