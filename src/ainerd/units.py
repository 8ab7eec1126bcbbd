"""Units in documents, files and settings: one spelling for each, and numbers converted from one unit to another.

References
----------
Pint knows the names, symbols and prefixes of SI and others, https://pint.readthedocs.io. UDUNITS
(https://docs.unidata.ucar.edu/udunits) writes powers without a sign, such as ``m.s-1``, and some names of its own.
Records of EPICS hold up to 15 characters that a person chose, such as ``C``, ``MM`` or ``uSec``.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pint import Unit, UnitRegistry

# Spellings of units by UDUNITS, EPICS and people; a plural "s" of a word is cut off before.
_SPELLINGS = {
    "m": "m meter metre", "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre",
    "um": "um µm μm micron micrometer micrometre", "nm": "nm nanometer nanometre",
    "angstrom": "å ang angstrom",
    "deg": "deg ° degree arc_degree arcdeg", "mrad": "mrad milliradian", "rad": "rad radian",
    "degC": "degc c °c ℃ celsius deg_c degree_celsius degrees_celsius degree_c degrees_c deg_celsius",
    "degF": "degf f °f ℉ fahrenheit deg_f degree_fahrenheit degrees_fahrenheit", "K": "k kelvin degk deg_k",
    "s": "s sec second", "ms": "ms msec millisecond",
    "us": "us µs μs usec microsecond", "min": "min minute", "h": "h hr hour", "Hz": "hz hertz", "kHz": "khz kilohertz",
    "eV": "ev electronvolt", "keV": "kev kiloelectronvolt", "V": "v volt", "A": "a amp ampere", "mA": "ma milliampere",
    "Pa": "pa pascal", "%": "% percent", "N": "n newton", "1": "1 dimensionless", "thou": "mil thou",
    "pixel": "px pixel", "frame": "frame", "count": "cts cnts count",
    "1/nm": "1/nm nm^-1 nm-1 nm⁻¹ inverse_nm inv_nm",
    "1/angstrom": "1/å 1/a a^-1 å^-1 a-1 å-1 å⁻¹ a⁻¹ 1/ang 1/angstrom inverse_angstrom inv_angstrom",
}  # fmt: skip
_UNIT_OF = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_NONE = {"", "none", "n/a", "na", "-", "unitless", "no unit", "null", "nan"}  # texts for a unit that is not known
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SINCE = re.compile(r"\s+since\s.*", re.DOTALL)  # of times of UDUNITS, such as "seconds since 1970-01-01"
_POWER = re.compile(r"(?<=[A-Za-zµμÅ°%])(?:\^|\*\*)?(-?\d+)")  # of a unit: m2, s-1
_TIMES = re.compile(r"(?<=\w)[ ·.](?=[A-Za-z])")
_PRODUCT = re.compile(r"(1/)?[^\W\d]+(\*\*-?\d)?([*/][^\W\d]+(\*\*-?\d)?)*")
_MOST = 60  # characters of a unit


class UnitError(ValueError):
    """Raised for a number in a unit that cannot be converted; the message names both units.

    Examples
    --------
    >>> converted(1.0, "mm", "s")
    Traceback (most recent call last):
        ...
    ainerd.units.UnitError: 'mm' cannot be converted to 's'
    """


def unit_of(text: str) -> str:
    """Return the usual spelling of a unit; an unknown unit as it is, without spaces around it.

    Examples
    --------
    >>> unit_of("millimeters"), unit_of("μm"), unit_of("Celsius"), unit_of("furlong")
    ('mm', 'um', 'degC', 'furlong')
    """
    stripped = text.strip()
    if stripped in _SPELLINGS:
        return stripped
    name = stripped.lower().replace(" ", "_")
    return _UNIT_OF.get(name) or (_UNIT_OF.get(name.removesuffix("s")) if len(name) > 3 else None) or stripped


def stated(unit: object) -> str:
    """Return the unit that a document or an attribute states; an empty text if it states none.

    Examples
    --------
    >>> stated(b" mm "), stated(None), stated("n/a")
    ('mm', '', '')
    """
    if hasattr(unit, "tolist"):  # an array of h5py
        unit = unit.tolist()
    if isinstance(unit, list) and len(unit) == 1:
        unit = unit[0]
    text = (unit.decode(errors="replace") if isinstance(unit, bytes) else unit if isinstance(unit, str) else "").strip()
    return "" if text.lower() in _NONE and text != "nA" else text[:_MOST]  # nanoampere is a unit


def converted(value: Any, unit: object, wanted: object) -> Any:
    """Convert a number, or an array of numbers, to another unit.

    Parameters
    ----------
    value : float or ndarray
    unit, wanted : str
        In any spelling that UDUNITS, EPICS or Pint know. If one of them states no unit, the value is unchanged. 1 Hz
        is a turn of 2π rad each second.

    Raises
    ------
    UnitError
        If one unit cannot be converted to the other, or is not known.

    Examples
    --------
    >>> converted(10.0, "msec", "s"), converted(5000.0, "µm", "mm"), round(converted(300.0, "K", "C"), 2)
    (0.01, 5.0, 26.85)
    >>> converted(60.0, "rpm", "Hz")
    1.0
    """
    own, target = stated(unit), stated(wanted)
    if not own or not target or unit_of(own) == unit_of(target):
        return value
    for a, b in _pairs(own, target):
        registry = _registry()
        if registry.get_root_units(a, check_nonmult=False)[1] == registry.get_root_units(b, check_nonmult=False)[1]:
            return registry.Quantity(value, a).to(b).magnitude
    raise UnitError(f"{own!r} cannot be converted to {target!r}")


def same_unit(a: str, b: str) -> bool:
    """Return whether two spellings are of one unit.

    Examples
    --------
    >>> same_unit("mm", "millimeters"), same_unit("mm", "um")
    (True, False)
    """
    if not (stated(a) and stated(b)):
        return unit_of(a) == unit_of(b)
    try:
        return unit_of(a) == unit_of(b) or (_is_one(converted(1.0, a, b)) and _is_one(converted(2.0, a, b) / 2))
    except UnitError:
        return False


def _is_one(x: float) -> bool:
    return bool(abs(x - 1) < 1e-9)


@cache
def _registry() -> "UnitRegistry[Any]":
    from pint import UnitRegistry  # takes half a second

    registry: UnitRegistry[Any] = UnitRegistry()
    for unit in ("photon", "frame", "step"):
        registry.define(f"{unit} = []")
    return registry


def _pairs(own: str, target: str) -> Iterator[tuple["Unit", "Unit"]]:
    """Yield the meanings of two texts, the most literal ones first: ``C`` is coulomb or degree Celsius."""
    targets = list(_meanings(target))
    for a in _meanings(own):
        for b in targets:
            yield a, b


def _meanings(text: str) -> Iterator["Unit"]:
    usual = unit_of(text)
    for spelling in dict.fromkeys((text, usual, text.lower()) if usual != "pixel" else (usual,)):  # px: 1/96 inch
        plain = _POWER.sub(r"**\1", _SINCE.sub("", spelling).translate(_POWERS))
        plain = _TIMES.sub("*", plain.strip()).replace("Å", "angstrom").replace("%", "percent")
        if plain == "1" or _PRODUCT.fullmatch(plain):
            with suppress(AttributeError, ValueError):  # pint's UndefinedUnitError, and of offsets in a product
                unit = _registry().parse_units(plain, as_delta=False)
                yield unit
                if "hertz" in str(unit):
                    yield unit * _registry().turn
