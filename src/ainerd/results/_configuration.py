"""What the results of one digest have in common, read back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.results._records import ConfigurationRecord


@dataclass(frozen=True)
class Configuration:
    """A record, and its arrays by name."""

    record: ConfigurationRecord
    arrays: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, node: Container) -> "Configuration":
        """The configuration of a node."""
        record = ConfigurationRecord.from_metadata(node.metadata)
        return cls(record, {name: np.asarray(node[name].read()) for name in record.arrays})
