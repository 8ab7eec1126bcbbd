"""All checks in order, and the functions that run them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ainerd.technique import AnalysisError, Technique, provides
from ainerd.testing._example import CheckFailed, ExampleRun, Trial, default_runs
from ainerd.testing._panels import PANELS
from ainerd.testing._parts import OPTIONAL, REQUIRED, protocol
from ainerd.testing._results import RESULTS


class TechniqueCheckError(AssertionError):
    """Raised if a technique violates the interface `ainerd.technique`.

    The message has one line ``check: problem`` for each failed check.
    """


@dataclass(frozen=True)
class Check:
    """One check of one technique. Call the object to run the check.

    Attributes
    ----------
    name : str
    """

    name: str
    _check: Callable[[Trial], None]
    _trial: Trial

    def __call__(self) -> None:
        """Raise `TechniqueCheckError` if the check fails."""
        try:
            part = OPTIONAL.get(self._check)
            if part is None or provides(self._trial.technique, part):
                self._check(self._trial)
        except CheckFailed as error:
            raise TechniqueCheckError(f"{self.name}: {error}") from error.__cause__
        except Exception as error:
            first_line = f"{type(error).__name__}: {error}".splitlines()[0]
            raise TechniqueCheckError(f"{self.name}: the technique raised {first_line}") from error

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
        Runs that the technique can analyse; by default movies of Poisson counts. The first two runs form a series if
        the unit is `Series`.
    section : mapping, optional
        The technique's section of the TOML. If it is given, `from_settings` is checked as well; relative paths start
        at `folder`.
    folder : Path

    Raises
    ------
    TechniqueCheckError
        With one line for each failed check.
    """
    failed = []
    for check in technique_checks(technique, runs, section=section, folder=folder):
        try:
            check()
        except TechniqueCheckError as error:
            failed.append(error)
            if check.name in (protocol.__name__, example_runs.__name__):
                break  # the other checks would fail for the same reason
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
    """Yield the checks one by one, for ``@pytest.mark.parametrize("check", technique_checks(Mine(), runs), ids=str)``.

    Parameters
    ----------
    technique, runs, section, folder
        As for `check_technique`.
    """
    trial = Trial(technique, tuple(runs) or default_runs(), section, folder, has_own_runs=bool(runs))
    for check in (protocol, example_runs, *RESULTS, *REQUIRED, *OPTIONAL, *PANELS):
        yield Check(check.__name__, check, trial)


def example_runs(trial: Trial) -> None:
    """Check that the technique can analyse the runs. All later checks depend on this one."""
    remedy = "give runs that it can"
    if not trial.has_own_runs:
        n, ny, nx = trial.run.frames.shape
        default = f"{n} frames of {ny} × {nx} with Poisson counts"
        remedy = f"give runs=[ExampleRun(frames=…)] that it can, instead of {default}"
    try:
        trial.analyses  # noqa: B018  (cached)
    except AnalysisError as error:
        raise CheckFailed(f"cannot be analysed: {error}; {remedy}") from error
