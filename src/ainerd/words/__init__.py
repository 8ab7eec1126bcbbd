"""Positions and times in sentences, said alike at the prompt, in the log, in figures and in reports."""

from ainerd.words._clock import here
from ainerd.words._position import coordinate, named_place, place

__all__ = ["coordinate", "here", "named_place", "place"]
