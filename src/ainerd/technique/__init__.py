"""The interface between an agent and a technique.

A technique turns the frames of a run into an `Analysis`, and the embeddings of many results into regimes. The agent
uses only this interface; it does not depend on the computation. Entry points announce the installed techniques:

===================== ==============================================================================================
group                 target of the entry, which has the name of the technique
===================== ==============================================================================================
``ainerd.techniques`` the class, a `Technique`
``ainerd.panels``     a module of drawing functions, see `Panels`; a light install must be able to import it
``ainerd.exports``    a function of store, key and path, which writes a result: ``ainerd export KEY FILE``
``ainerd.commands``   a function, or a `typer.Typer`, which becomes ``ainerd <name> …``
===================== ==============================================================================================
"""

from ainerd.technique._installed import Panels, TechniqueError, exporter, load, names, panels
from ainerd.technique._records import (
    Common,
    Finding,
    Landmarks,
    NoReadings,
    NullRegimes,
    Readings,
    Regimes,
    RunInfo,
    Series,
)
from ainerd.technique._technique import Analysis, AnalysisError, EventReader, RunAnalysis, Technique, is_novel, provides

__all__ = [
    "Analysis", "AnalysisError", "Common", "EventReader", "Finding", "Landmarks", "NoReadings", "NullRegimes",
    "Panels", "Readings", "Regimes", "RunAnalysis", "RunInfo", "Series", "Technique",
    "TechniqueError", "exporter", "is_novel", "load", "names", "panels", "provides",
]  # fmt: skip
