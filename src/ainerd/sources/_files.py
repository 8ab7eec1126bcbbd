"""Documents in files of JSON lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from ainerd.documents import Document, file_documents
from ainerd.sources._source import Intake


class File:
    """A ``.jsonl`` file of documents, or a folder of such files, oldest first. It ends with the last line."""

    usage: ClassVar[str] = "the path of a .jsonl file or of a folder of them"
    writes_runs: ClassVar[bool] = False

    def __init__(self, address: str) -> None:
        self._path = Path(address)

    def documents(self, intake: Intake) -> Iterator[Document]:
        """Yield the documents of the lines."""
        return file_documents(self._path)
