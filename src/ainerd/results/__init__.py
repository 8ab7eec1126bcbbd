"""Results in Tiled: what the agent wrote of each run, and the way back to it.

Every result, suggestion, atlas and log line is a node of Tiled with its numbers as metadata: readable with
`ResultStore` and, as well, with a plain Tiled client. Nothing here knows how a result was computed.
"""

from ainerd.results._agents import AgentNode, principal_of, read_agent
from ainerd.results._checkpoint import read_checkpoint, save_checkpoint
from ainerd.results._client import AinerdResult
from ainerd.results._configuration import Configuration
from ainerd.results._explain import explain
from ainerd.results._export import export, export_table
from ainerd.results._file import decode_table
from ainerd.results._hdf5 import put_array, put_attributes, put_table
from ainerd.results._keys import digest, event_identity, result_key, series_identity
from ainerd.results._live import LiveNode
from ainerd.results._nodes import SPEC_VERSION
from ainerd.results._notes import notes_on
from ainerd.results._patience import waiting
from ainerd.results._record import utc_now
from ainerd.results._records import (
    FINAL,
    USABLE,
    AtlasRecord,
    ConfigurationRecord,
    LogRecord,
    ResultRecord,
    SuggestionRecord,
)
from ainerd.results._sound import LATEST_S, line_problem, result_problem, suggestion_problem
from ainerd.results._store import ResultStore
from ainerd.results._validate import validate
from ainerd.results._which import scan_text

__all__ = [
    "FINAL",
    "LATEST_S",
    "SPEC_VERSION",
    "AgentNode",
    "AinerdResult",
    "AtlasRecord",
    "Configuration",
    "ConfigurationRecord",
    "LiveNode",
    "LogRecord",
    "ResultRecord",
    "ResultStore",
    "SuggestionRecord",
    "USABLE",
    "decode_table",
    "digest",
    "explain",
    "export",
    "event_identity",
    "export_table",
    "notes_on",
    "line_problem",
    "principal_of",
    "put_array",
    "put_attributes",
    "put_table",
    "read_agent",
    "read_checkpoint",
    "result_key",
    "result_problem",
    "save_checkpoint",
    "scan_text",
    "series_identity",
    "suggestion_problem",
    "utc_now",
    "validate",
    "waiting",
]
