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

from ainerd.technique._analysis import Analysis, AnalysisError, Layout
from ainerd.technique._installed import TechniqueError, load, names, panels
from ainerd.technique._many import Common, Landmarks, NullRegimes, Regimes
from ainerd.technique._optional import (
    Finding,
    HasChecks,
    HasCommon,
    HasLandmarks,
    HasOptimizer,
    HasQuestions,
    HasSketch,
    KnowsNullRegimes,
    Question,
    SeesWholeFrames,
    ShowsProgress,
    WarmsUp,
)
from ainerd.technique._panels import Panels
from ainerd.technique._protocol import RunAnalysis, Technique
from ainerd.technique._run import NoReadings, Readings, RunInfo, Series, Unit

__all__ = [
    "Analysis",
    "AnalysisError",
    "Common",
    "Finding",
    "HasChecks",
    "HasCommon",
    "HasLandmarks",
    "HasOptimizer",
    "HasQuestions",
    "HasSketch",
    "KnowsNullRegimes",
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
    "SeesWholeFrames",
    "Series",
    "ShowsProgress",
    "Technique",
    "TechniqueError",
    "Unit",
    "WarmsUp",
    "load",
    "names",
    "panels",
]
