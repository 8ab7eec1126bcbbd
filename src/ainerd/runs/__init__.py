"""From the documents of a run to its result in Tiled: a worker, a run's state, a writer, and documents kept on disk."""

from ainerd.runs._journal import Journal
from ainerd.runs._raw import RawWriter, write_run
from ainerd.runs._run import RunState
from ainerd.runs._spool import Kept, Spool
from ainerd.runs._worker import Worker
from ainerd.runs._writer import RecordedKeys, Subject, Writer, parameters_of, start_metadata

__all__ = [
    "Journal", "Kept", "RawWriter", "RecordedKeys", "RunState", "Spool", "Subject", "Worker",
    "Writer", "parameters_of", "start_metadata", "write_run",
]  # fmt: skip
