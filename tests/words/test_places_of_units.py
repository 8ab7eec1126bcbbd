"""The places where a number of a document, a file or an attribute is converted to the unit of a formula."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = {  # functions that call `ainerd.units.converted`, with a test that knows the right number
    ("ainerd/documents/_announced.py", "_number"): "test_times_are_in_the_unit_of_their_data_key",
    ("ainerd/documents/_detector.py", "_frame_time_s"): "test_the_frame_time_is_in_the_unit_of_its_data_key",
    ("ainerd_folder/_metadata.py", "number"): "test_a_value_of_metadata_is_the_first_text_or_the_mean",
    ("ainerd/documents/_readings.py", "describe"): (
        "test_a_reading_in_a_unit_that_does_not_fit_is_refused_with_both_units"
    ),
    ("ainerd/documents/_readings.py", "of"): "test_units_of_the_record_are_those_of_the_documents",
    ("ainerd/units.py", "same_unit"): "test_spellings_of_a_unit_are_one_unit",
    ("ainerd_files/_fields.py", "numbers"): "test_the_kind_of_a_map_is_seen_in_it",
    ("ainerd_xpcs/numerics/_masks.py", "_in_unit"): "test_a_list_of_q_is_in_the_unit_of_its_attribute",
}


def functions_that_convert(path):
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            calls = [each.func for each in ast.walk(function) if isinstance(each, ast.Call)]
            if any(isinstance(call, ast.Name) and call.id == "converted" for call in calls):
                yield function.name


def test_each_place_where_a_unit_is_converted_has_a_test_with_the_right_number():
    source = ROOT / "src"
    found = {
        (str(path.relative_to(source)), name) for path in source.rglob("*.py") for name in functions_that_convert(path)
    }
    assert found == {*PLACES}
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in PLACES.values() if f"def {name}(" not in tests] == []
