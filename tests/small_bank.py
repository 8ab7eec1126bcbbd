"""A part of the shipped bank, which is calibrated in much less time."""

from pathlib import Path

import numpy as np

OF_EACH = 26  # a density of a kind needs 24
KINDS = ("stationary", "ageing", "arrested", "intermittent", "flow", "sheared")  # six of eleven; the samples show these


def some_of_each(families):
    """Return the places of the first exposures of each of these kinds."""
    families = np.array(families)
    return np.sort(np.concatenate([np.flatnonzero(families == kind)[:OF_EACH] for kind in KINDS]))


def write_small_bank(path):
    """Write some exposures of each of these kinds, and return the path; the id depends on the shipped bank alone."""
    from ainerd_xpcs import technique as rheo_xpcs
    from ainerd_xpcs.technique import read_bank, write_bank

    clean, families = read_bank(Path(rheo_xpcs.__file__).parent / "weights" / "bank.safetensors")
    at = some_of_each(families)
    write_bank(path, [clean[i] for i in at], [families[i] for i in at], ainerd="any")
    return path


def some_of_bank():
    """Return the same exposures without a file."""
    from ainerd_xpcs.technique import Bank

    bank = Bank.load()
    at = some_of_each(bank.families)
    return Bank([bank.clean[i] for i in at], [bank.families[i] for i in at], id="small")
