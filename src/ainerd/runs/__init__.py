"""From the documents of a run to its result in Tiled: a worker, a run's state and a writer."""

from ainerd.runs._raw import register_files, write_backup, write_run
from ainerd.runs._run import RunState
from ainerd.runs._worker import Worker
from ainerd.runs._writer import RecordedKeys, Subject, Writer, parameters_of, start_metadata

__all__ = [
    "RecordedKeys", "RunState", "Subject", "Worker", "Writer", "parameters_of", "register_files", "start_metadata",
    "write_backup", "write_run",
]  # fmt: skip
