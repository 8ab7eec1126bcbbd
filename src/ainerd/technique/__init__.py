"""The one seam: what an agent asks of a technique.

A technique turns the frames of a run into an `Analysis`, and the embeddings of many results into regimes. The agent
knows this protocol, and nothing of what a technique computes. Installed techniques are found by entry points:

===================== ==============================================================================================
group                 what the entry, named as the technique, points to
===================== ==============================================================================================
``ainerd.techniques`` the class, a `Technique`
``ainerd.panels``     a module with what it draws, see `Panels`; importing it needs no more than a light install
``ainerd.commands``   a `typer.Typer`, which becomes ``ainerd <name> …``
===================== ==============================================================================================
"""

from ainerd.technique._analysis import (
    Analysis,
    AnalysisError,
    Common,
    Landmarks,
    Layout,
    NullRegimes,
    Regimes,
    is_novel,
)
from ainerd.technique._installed import Panels, TechniqueError, load, names, panels
from ainerd.technique._run import NoReadings, Readings, RunInfo, Series, Unit
from ainerd.technique._technique import Finding, Question, RunAnalysis, Technique, begin, complete, provides

__all__ = [
    "Analysis",
    "AnalysisError",
    "Common",
    "Finding",
    "Landmarks",
    "Layout",
    "NoReadings",
    "NullRegimes",
    "Panels",
    "Question",
    "Readings",
    "Regimes",
    "RunAnalysis",
    "RunInfo",
    "Series",
    "Technique",
    "TechniqueError",
    "Unit",
    "begin",
    "complete",
    "is_novel",
    "load",
    "names",
    "panels",
    "provides",
]
