"""Units in all spellings. Right values: definitions of SI, and of the inch (25.4 mm)."""

import numpy as np
import pytest

from ainerd.units import UnitError, converted, same_unit, stated


@pytest.mark.parametrize(
    ("one", "others"),
    [
        ("um", "µm μm micron microns micrometers UM"),
        ("deg", "degree degrees DEG °"),
        ("degC", "C °C celsius degrees_Celsius deg_C"),
        ("keV", "KEV kev"),
        ("furlong", "furlong"),
    ],
)
def test_spellings_of_a_unit_are_one_unit(one, others):
    for other in others.split():
        assert same_unit(one, f" {other} "), other
    for different in {"mm", "um", "m", "deg", "degC", "K", "s", "ms", "keV", "eV", "", "counts"} - {one}:
        assert not same_unit(one, different), different


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "right"),
    [
        (10.0, "ms msec MSEC mS millisecond milliseconds", "s", 0.01),
        (2.0, "h hr hours", "s", 7200.0),
        (5000.0, "um µm μm micron microns micrometers", "mm", 5.0),
        (1.0, "inch in", "mm", 25.4),
        (1.0, "nA nanoampere", "A", 1e-9),
        (25.0, "C degC °C ℃ celsius degree_Celsius degrees_celsius", "K", 298.15),
        (77.0, "F degF °F", "degC", 25.0),
        (180.0, "deg Deg DEGREES ° arc_degree", "rad", np.pi),
        (1.0, "1/Å Å^-1 A^-1 1/A angstrom^-1 1/angstrom Å⁻¹", "1/nm", 10.0),
        (1.0, "mm/s mm.s-1", "um/s", 1000.0),
        (11.0, "keV KeV KEV", "eV", 11000.0),
        (1.0, "mm²", "um2", 1e6),
        (50.0, "% percent", "1", 0.5),
        (2 * np.pi, "rad/s rad.s-1 radian/second", "Hz", 1.0),
        (0.5, "kHz", "rpm", 30_000.0),
        (10.0, "1/s s-1", "Hz", 10.0),
    ],
)
def test_numbers_are_converted_from_every_spelling(value, unit, wanted, right):
    for spelling in unit.split():
        assert converted(value, spelling, f" {wanted} ") == pytest.approx(right), spelling
        assert converted(np.array([value]), spelling, wanted) == pytest.approx([right]), spelling


def test_times_of_udunits_have_the_unit_before_since():
    assert converted(3.0, "milliseconds since 1970-01-01 00:00:00", "s") == pytest.approx(0.003)


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [
        ("deg", "mm"), ("px", "mm"), ("furlongs", "steps"), ("rad/s", "1/s"), ("10 ms", "s"), ("__import__('os')", "s"),
    ],
)  # fmt: skip
def test_a_unit_that_does_not_fit_is_refused_with_both(unit, wanted):
    with pytest.raises(UnitError) as refused:
        converted(1.0, unit, wanted)
    assert repr(unit[:60]) in str(refused.value)
    assert repr(wanted) in str(refused.value)


@pytest.mark.parametrize("unit", [None, " ", "n/a", b"", 3, np.array([1, 2])])
def test_a_value_without_a_unit_changes_no_number(unit):
    assert stated(unit) == ""
    assert converted(2.5, unit, "mm") == converted(2.5, "mm", unit) == 2.5


def test_units_of_attributes_are_bytes_or_arrays_of_text():
    units = (b"ms", np.bytes_(b"ms"), np.array([b"ms"]), np.array(" ms ", object))
    assert [stated(unit) for unit in units] == ["ms"] * 4
