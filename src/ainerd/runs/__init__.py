"""From the documents of a run to its result in Tiled: a worker, a run's state, a writer, and documents kept on disk."""

from ainerd.runs._jobs import Jobs
from ainerd.runs._run import RunState
from ainerd.runs._spool import Journal, RawWriter, Spool
from ainerd.runs._subject import SPOILT, Outcome, Subject, Wanted, is_analysed
from ainerd.runs._worker import Worker
from ainerd.runs._writer import Writer, start_metadata

__all__ = [
    "SPOILT", "Jobs", "Journal", "Outcome", "RawWriter", "RunState", "Spool", "Subject", "Wanted", "Worker", "Writer",
    "is_analysed", "start_metadata",
]  # fmt: skip
