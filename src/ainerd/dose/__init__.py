"""The dose of a sample, and the exposure that a spot gets: frame time, number of frames, transmission."""

from ainerd.dose._book import DoseBook, DoseError
from ainerd.dose._proposer import Known, Proposer

__all__ = ["DoseBook", "DoseError", "Known", "Proposer"]
