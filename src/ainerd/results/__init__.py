"""Results in Tiled: records, writing, reading, search, export, and the nodes of agents.

Every result, suggestion, atlas and log line is a node of Tiled with its numbers as metadata, readable with
`ResultStore` and with a plain Tiled client. This package does not depend on the computation of a result.
"""

from ainerd.results import commands
from ainerd.results._agents import AgentNode
from ainerd.results._conditions import matches
from ainerd.results._errors import Away, Gone, Refused, TiledError, translated
from ainerd.results._explain import explain
from ainerd.results._export import export, new_file
from ainerd.results._files import LoadedResult, Part, bundle, decode_table, put_attributes
from ainerd.results._nodes import shared_tags
from ainerd.results._records import (
    AtlasRecord,
    ConfigurationRecord,
    LogRecord,
    ResultRecord,
    SuggestionRecord,
    digest,
)
from ainerd.results._result import AinerdResult, since_exposure
from ainerd.results._store import ResultStore
from ainerd.results._stream import Stream
from ainerd.results._table import Columns
from ainerd.results._tables import notes_by_key, regime_kinds, similar

__all__ = [
    "AgentNode", "AinerdResult", "AtlasRecord", "Away", "Columns", "ConfigurationRecord", "Gone",
    "LoadedResult", "LogRecord", "Part", "Refused", "ResultRecord", "ResultStore", "Stream", "SuggestionRecord",
    "TiledError", "bundle", "commands", "decode_table", "digest", "explain", "export", "matches", "new_file",
    "notes_by_key", "put_attributes", "regime_kinds", "shared_tags", "similar", "since_exposure", "translated",
]  # fmt: skip
