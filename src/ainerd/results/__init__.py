"""Results in Tiled: records, writing, reading, search, export, and the nodes of agents.

Every result, suggestion, atlas and log line is a node of Tiled with its numbers as metadata, readable with
`ResultStore` and with a plain Tiled client. This package does not depend on the computation of a result.
"""

from ainerd.results import _commands as commands
from ainerd.results._agents import AgentNode, LiveNode, principal_of, read_agent, read_checkpoint, save_checkpoint
from ainerd.results._campaign_records import note_line
from ainerd.results._commands import (
    Accept,
    Add,
    Command,
    Exclude,
    Hold,
    Name,
    Note,
    Propose,
    Reject,
    Release,
    SetBounds,
    SetExcluded,
    Take,
    command_metadata,
    new_id,
    parse_command,
)
from ainerd.results._export import export
from ainerd.results._files import decode_table, put_array, put_attributes, put_table
from ainerd.results._nodes import SPEC_VERSION
from ainerd.results._progress import waiting
from ainerd.results._reading import explain
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
    utc_now,
)
from ainerd.results._search import notes_on, scan_text
from ainerd.results._store import AinerdResult, ResultStore
from ainerd.results._tables import nearest
from ainerd.results._validation import line_problem, result_problem, suggestion_problem, validate

__all__ = [
    "Accept", "Add", "Command", "Exclude", "Hold", "Name", "Note", "Propose", "Reject", "Release", "SetBounds",
    "SetExcluded", "Take", "command_metadata", "commands", "new_id", "parse_command", "note_line", "FINAL", "LATEST_S",
    "SPEC_VERSION", "USABLE", "AgentNode", "AinerdResult", "AtlasRecord", "Configuration", "ConfigurationRecord",
    "LiveNode", "LogRecord", "ResultRecord", "ResultStore", "SuggestionRecord", "decode_table", "digest",
    "event_identity", "explain", "export", "line_problem", "nearest", "notes_on", "principal_of", "put_array",
    "put_attributes", "put_table", "read_agent", "read_checkpoint", "result_key", "result_problem", "save_checkpoint",
    "scan_text", "series_identity", "suggestion_problem", "utc_now", "validate", "waiting",
]  # fmt: skip
