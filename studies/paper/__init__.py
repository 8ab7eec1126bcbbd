"""The figures of the AI-NERD paper (Horwath et al., Nat. Commun. 15, 5945, 2024): ``python -m studies.paper``."""

from studies.paper.azimuths import Azimuths, azimuths_of, read_azimuths, read_record
from studies.paper.coincidence import Coincidence, coincidence
from studies.paper.figures import (
    cluster_figure,
    latent_figure,
    neighbourhood_figure,
    number_figure,
    similarity_figure,
    timeline_figure,
    ways_figure,
)

__all__ = [
    "Azimuths",
    "Coincidence",
    "azimuths_of",
    "cluster_figure",
    "coincidence",
    "latent_figure",
    "neighbourhood_figure",
    "number_figure",
    "read_azimuths",
    "read_record",
    "similarity_figure",
    "timeline_figure",
    "ways_figure",
]
