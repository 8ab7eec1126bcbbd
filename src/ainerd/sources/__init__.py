"""Sources of documents, found by entry points: the catalog and files are here, others in packages of their own."""

from ainerd.sources._source import Intake, Source, open_source

__all__ = ["Intake", "Source", "open_source"]
