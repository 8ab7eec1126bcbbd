"""Results in Tiled: records, writing, reading, search, export, and the nodes of agents.

Every result, suggestion, atlas and log line is a node of Tiled with its numbers as metadata, readable with
`ResultStore` and with a plain Tiled client. This package does not depend on the computation of a result.
"""

from ainerd.results import commands
from ainerd.results._agents import AgentNode, where_it_steers
from ainerd.results._drawing import compare, since_exposure
from ainerd.results._errors import FORBIDDEN, Away, Gone, Refused, TiledError, check_answers, translated
from ainerd.results._explain import Result, explain, sentences_on
from ainerd.results._export import new_file
from ainerd.results._files import Content, LoadedResult
from ainerd.results._nodes import CAMPAIGN, SPEC_VERSION, shared_tags
from ainerd.results._records import (
    FINAL,
    LATEST_S,
    USABLE,
    AtlasRecord,
    ConfigurationRecord,
    LogRecord,
    Metadata,
    ResultRecord,
    SuggestionRecord,
    digest,
)
from ainerd.results._result import AinerdResult, export
from ainerd.results._store import ResultStore
from ainerd.results._stream import Stream

__all__ = [
    "CAMPAIGN", "FINAL", "FORBIDDEN", "LATEST_S", "SPEC_VERSION", "USABLE",
    "AgentNode", "AinerdResult", "AtlasRecord", "Away", "ConfigurationRecord", "Gone",
    "LoadedResult", "LogRecord", "Metadata", "Content", "Refused", "Result", "ResultRecord", "ResultStore", "Stream",
    "SuggestionRecord", "TiledError", "check_answers", "commands", "compare", "digest", "explain", "export", "new_file",
    "sentences_on",
    "shared_tags", "since_exposure", "translated", "where_it_steers",
]  # fmt: skip
