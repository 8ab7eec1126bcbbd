"""The figures of the AI-NERD paper (Horwath et al., Nat. Commun. 15, 5945, 2024): ``python -m studies.paper``."""

from studies.paper.azimuths import coincidence, read_azimuths
from studies.paper.figures import timeline_figure

__all__ = ["coincidence", "read_azimuths", "timeline_figure"]
