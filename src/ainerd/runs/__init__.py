"""From the documents of a run to its result in Tiled: a worker, a run's state, a writer, and what waits for Tiled."""

from ainerd.runs._due import is_analysed
from ainerd.runs._outcome import SPOILT, Listener, Outcome, Wanted
from ainerd.runs._raw import RawWriter
from ainerd.runs._subject import Subject
from ainerd.runs._worker import Worker

__all__ = ["SPOILT", "Listener", "Outcome", "RawWriter", "Subject", "Wanted", "Worker", "is_analysed"]
