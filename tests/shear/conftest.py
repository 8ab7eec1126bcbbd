"""Fewer exposures of cyclic dynamics, which are calibrated in less time."""

import pytest

from ainerd_shear import _verdict
from tests.small_bank import OF_EACH, some_of_bank


@pytest.fixture(scope="module")
def bank():
    """A part of the shipped bank, to which few exposures of each cyclic kind are added."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_verdict, "EXPOSURES", dict.fromkeys(_verdict.EXPOSURES, OF_EACH))
        yield some_of_bank()
