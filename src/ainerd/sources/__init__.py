"""Sources of documents: catalog, 0MQ, Kafka, files, folders of acquisitions. Each is found by an entry point."""

from ainerd.sources._source import Intake, Source, open_source

__all__ = ["Intake", "Source", "open_source"]
