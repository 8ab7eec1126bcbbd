"""The checks in their order, and who runs them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ainerd.technique import AnalysisError, Technique
from ainerd.testing._bad_input import BAD_INPUT
from ainerd.testing._example import ExampleRun, default_runs
from ainerd.testing._optional import OPTIONAL
from ainerd.testing._panels import PANELS
from ainerd.testing._protocol import PROTOCOL, protocol
from ainerd.testing._regimes import REGIMES
from ainerd.testing._results import RESULTS
from ainerd.testing._trial import CheckFailed, Trial

CHECKS: tuple[Callable[[Trial], None], ...] = (*PROTOCOL, *RESULTS, *BAD_INPUT, *REGIMES, *OPTIONAL, *PANELS)


class TechniqueCheckError(AssertionError):
    """A technique does not keep what `ainerd.technique` asks; a line for each check that failed: ``check: what``."""


@dataclass(frozen=True)
class Check:
    """One check of one technique: call it.

    Attributes
    ----------
    name : str
    """

    name: str
    _check: Callable[[Trial], None]
    _trial: Trial

    def __call__(self) -> None:
        """Raise `TechniqueCheckError` if it fails."""
        try:
            self._check(self._trial)
        except CheckFailed as error:
            raise TechniqueCheckError(f"{self.name}: {error}") from error.__cause__
        except Exception as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise TechniqueCheckError(f"{self.name}: the technique raised {said}") from error

    def __str__(self) -> str:
        return self.name


def check_technique(
    technique: Technique,
    runs: Sequence[ExampleRun] = (),
    *,
    section: Mapping[str, Any] | None = None,
    folder: Path = Path(),
) -> None:
    """Run all checks on a technique.

    Parameters
    ----------
    technique : Technique
        An instance.
    runs : sequence of ExampleRun
        Runs that it can analyse; for a series the first two become one. Without them, movies of Poisson counts.
    section : mapping, optional
        Its section of the TOML, to check `from_settings` too; relative paths in it count from `folder`.
    folder : Path

    Raises
    ------
    TechniqueCheckError
        With all that failed, a line each.
    """
    failed = []
    for check in technique_checks(technique, runs, section=section, folder=folder):
        try:
            check()
        except TechniqueCheckError as error:
            failed.append(error)
            if check.name in (protocol.__name__, example_runs.__name__):
                break  # the others would only say the same
    if failed:
        name = getattr(technique, "name", type(technique).__name__)
        lines = "\n".join(f"  {error}" for error in failed)
        raise TechniqueCheckError(f"technique {name!r} fails {len(failed)} check(s):\n{lines}") from failed[0]


def technique_checks(
    technique: Technique,
    runs: Sequence[ExampleRun] = (),
    *,
    section: Mapping[str, Any] | None = None,
    folder: Path = Path(),
) -> Iterator[Check]:
    """The same checks one by one, for ``@pytest.mark.parametrize("check", technique_checks(Mine(), runs), ids=str)``.

    Parameters
    ----------
    technique, runs, section, folder
        As for `check_technique`.
    """
    trial = Trial(technique, tuple(runs) or default_runs(), section, folder, has_own_runs=bool(runs))
    for check in (protocol, example_runs, *(check for check in CHECKS if check is not protocol)):
        yield Check(check.__name__, check, trial)


def example_runs(trial: Trial) -> None:
    """The technique can analyse the runs: without that nothing else can be checked."""
    todo = "give runs that it can"
    if not trial.has_own_runs:
        n, ny, nx = trial.run.frames.shape
        todo = f"give runs=[ExampleRun(frames=…)] that it can, instead of {n} frames of {ny} × {nx} with Poisson counts"
    try:
        trial.analyses  # noqa: B018  (worked out once)
    except AnalysisError as error:
        raise CheckFailed(f"cannot be analysed: {error}; {todo}") from error
