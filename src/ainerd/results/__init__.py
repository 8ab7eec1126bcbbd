"""Results in Tiled: what the agent wrote of each run, and the way back to it.

Every result, suggestion, atlas and log line is a node of Tiled with its numbers as metadata: readable with
`ResultStore` and, as well, with a plain Tiled client. Nothing here knows how a result was computed.
"""

from ainerd.results._keys import digest, result_key
from ainerd.results._records import AtlasRecord, LogRecord, ResultRecord, SuggestionRecord
from ainerd.results._store import ResultStore

__all__ = [
    "AtlasRecord",
    "LogRecord",
    "ResultRecord",
    "ResultStore",
    "SuggestionRecord",
    "digest",
    "result_key",
]
