"""Checks for authors of techniques. They test everything that `ainerd.technique` requires.

The checks do not need a RunEngine or Tiled. In your own test:

>>> from ainerd.testing import ExampleRun, check_technique  # doctest: +SKIP
>>> check_technique(Mine(), [ExampleRun(frames=frames)], section={"alpha": 0.01})  # doctest: +SKIP
"""

from ainerd.testing._example import ExampleRun, Feed, analyse
from ainerd.testing._suite import Check, TechniqueCheckError, check_technique, technique_checks

__all__ = ["Check", "ExampleRun", "Feed", "TechniqueCheckError", "analyse", "check_technique", "technique_checks"]
