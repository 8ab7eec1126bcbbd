"""Results in Tiled: records, writing, reading, search, export, and the nodes of agents.

Every result, suggestion, atlas and log line is a node of Tiled with its numbers as metadata, readable with
`ResultStore` and with a plain Tiled client. This package does not depend on the computation of a result.
"""

from ainerd.results import commands
from ainerd.results._agents import AgentNode, LiveNode, principal_of, read_agent, read_checkpoint, save_checkpoint
from ainerd.results._campaign_records import note_line
from ainerd.results._export import export
from ainerd.results._files import LoadedResult, decode_table, put_array, put_attributes, put_table
from ainerd.results._nodes import SPEC_VERSION
from ainerd.results._progress import waiting
from ainerd.results._records import (
    FINAL,
    LATEST_S,
    USABLE,
    AtlasRecord,
    Configuration,
    ConfigurationRecord,
    LogRecord,
    ResultRecord,
    SuggestionRecord,
    digest,
    event_identity,
    result_key,
    series_identity,
)
from ainerd.results._result import AinerdResult, plot_result
from ainerd.results._store import ResultStore, explain
from ainerd.results._tables import nearest, notes_on, scan_text
from ainerd.results._validation import validate
from ainerd.words import utc_now

__all__ = [
    "FINAL", "LATEST_S", "SPEC_VERSION", "USABLE", "AgentNode", "AinerdResult", "AtlasRecord", "Configuration",
    "ConfigurationRecord", "LiveNode", "LoadedResult", "LogRecord", "ResultRecord", "ResultStore", "SuggestionRecord",
    "commands", "decode_table", "digest", "event_identity", "explain", "export", "nearest", "note_line", "notes_on",
    "plot_result", "principal_of", "put_array", "put_attributes", "put_table", "read_agent", "read_checkpoint",
    "result_key", "save_checkpoint", "scan_text", "series_identity", "utc_now", "validate", "waiting",
]  # fmt: skip
