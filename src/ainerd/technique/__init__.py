"""The interface between an agent and a technique.

A technique turns the frames of a run into an `Analysis`, and the embeddings of many results into regimes. The agent
uses this interface alone, and knows nothing of the computation. Installed techniques are found by entry points:

===================== ==============================================================================================
group                 object that the entry, with the name of the technique, points to
===================== ==============================================================================================
``ainerd.techniques`` the class, a `Technique`
``ainerd.panels``     a module of drawing functions, see `Panels`; a light install suffices to import it
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
