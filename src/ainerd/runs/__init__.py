"""From the documents of a run to its result in Tiled: a worker, a run's state, a writer, and documents kept on disk."""

from ainerd.runs._run import RunState
from ainerd.runs._spool import Journal, RawWriter, Spool, write_run
from ainerd.runs._worker import Jobs, Worker
from ainerd.runs._writer import SPOILT, RecordedKeys, Subject, Writer, parameters_of, start_metadata

__all__ = [
    "SPOILT", "Jobs", "Journal", "RawWriter", "RunState", "Spool", "Subject", "RecordedKeys", "Worker", "Writer",
    "parameters_of", "start_metadata", "write_run",
]  # fmt: skip
