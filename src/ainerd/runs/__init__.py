"""From the documents of a run to its results in Tiled: a worker, a run in progress, its units and a writer."""

from ainerd.runs._raw import register_files, start_documents, write_backup, write_run
from ainerd.runs._recorded import RecordedKeys, start_metadata
from ainerd.runs._run import RunInProgress
from ainerd.runs._unit import Unit
from ainerd.runs._worker import Worker
from ainerd.runs._writer import Writer, parameters_of

__all__ = [
    "RecordedKeys", "RunInProgress", "Unit", "Worker", "Writer", "parameters_of", "register_files", "start_documents",
    "start_metadata", "write_backup", "write_run",
]  # fmt: skip
