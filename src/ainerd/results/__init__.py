"""Results in Tiled: records, writing, reading, search, export, and the nodes of agents.

Every result, suggestion, atlas and log line is a node of Tiled with its numbers as metadata, readable with
`ResultStore` and with a plain Tiled client. This package does not depend on the computation of a result.
"""

from ainerd.results import commands
from ainerd.results._agents import AgentNode, LiveNode, principal_of, read_agent, read_checkpoint, save_checkpoint
from ainerd.results._campaign_records import note_line
from ainerd.results._export import export, new_file
from ainerd.results._files import LoadedResult, Part, decode_table, put_array, put_attributes, put_table
from ainerd.results._nodes import CAMPAIGN, SPEC_VERSION, check_schema, shared_tags, tags_of
from ainerd.results._records import (
    FINAL,
    LATEST_S,
    USABLE,
    AtlasRecord,
    ConfigurationRecord,
    LogRecord,
    ResultRecord,
    SuggestionRecord,
    digest,
    event_identity,
    result_key,
    series_identity,
)
from ainerd.results._result import AinerdResult, plot_result, since_exposure
from ainerd.results._store import ResultStore, explain
from ainerd.results._table import Columns
from ainerd.results._tables import OWN_P, matches, notes_by_key, regime_kinds, similar
from ainerd.results._validation import validate
from ainerd.words import utc_now

__all__ = [
    "AgentNode", "AinerdResult", "AtlasRecord", "CAMPAIGN", "Columns", "ConfigurationRecord",
    "FINAL", "LATEST_S", "LiveNode", "LoadedResult", "LogRecord", "OWN_P", "Part", "ResultRecord", "ResultStore",
    "SPEC_VERSION", "SuggestionRecord", "USABLE", "check_schema", "commands", "decode_table", "digest",
    "event_identity", "explain", "export", "matches", "regime_kinds", "new_file", "note_line", "notes_by_key",
    "plot_result", "principal_of", "put_array", "put_attributes", "put_table", "read_agent", "read_checkpoint",
    "result_key", "save_checkpoint", "series_identity", "shared_tags", "similar", "since_exposure",
    "tags_of", "utc_now", "validate",
]  # fmt: skip
