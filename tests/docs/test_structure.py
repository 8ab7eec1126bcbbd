"""The folders of src/ stand on floors, without circles, and the documentation shows them as they are."""

import re
from collections import Counter
from pathlib import Path

import grimp
import pytest

from docs import structure

SOURCE = Path(structure.__file__).resolve().parents[1] / "src" / "ainerd"
GENERIC = "technique documents runs results campaign steering plans agent server views cli config".split()
# Words of one technique; an underscore ends a word: time_since_shear says shear.
WORDS = re.compile(r"(?<![a-z0-9])(?:c2|q|stress)(?![a-z0-9])|shear|azimuth", re.IGNORECASE)


@pytest.fixture(scope="module")
def imports():
    return structure.imports_of_folders()


def test_no_folder_imports_a_private_module_of_another():
    private = []
    for file in SOURCE.parent.rglob("*.py"):
        for folder, module in re.findall(r"^ *from (ainerd[\w.]*?)\.(_\w+)", file.read_text(), re.MULTILINE):
            if not file.is_relative_to(SOURCE.parent / folder.replace(".", "/")):
                private.append(f"{file.relative_to(SOURCE.parent)}: {folder}.{module}")
    assert private == []


def test_no_folders_import_each_other_in_a_circle(imports):
    assert structure.circles(imports) == []


def test_no_files_of_the_agent_import_each_other_in_a_circle():
    """Imports for type checkers count, too."""
    graph = grimp.build_graph("ainerd", cache_dir=None)
    files = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(files) > 100 and structure.circles(files) == []


@pytest.mark.parametrize("room", GENERIC)
def test_a_generic_room_has_no_words_of_one_technique(room):
    path = SOURCE / room
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    assert files[0].exists()
    lines = [
        f"{file.relative_to(SOURCE)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if WORDS.search(line)
    ]
    assert lines == [], "\n".join(lines)


def test_the_picture_shows_the_folders_as_they_are(imports):
    described = re.search(r"<dc:description>(.*?)</dc:description>", structure.PICTURE.read_text(), re.DOTALL)
    assert described[1] == structure.text(imports), "make structure"


def test_every_file_of_tests_has_a_name_of_its_own():
    names = Counter(path.name for path in (SOURCE.parents[1] / "tests").rglob("test_*.py"))
    assert [name for name, n in names.items() if n > 1] == []  # pytest cannot collect two of one name


def test_compiled_functions_leave_the_lock_to_other_threads():
    """The RunEngine's loop runs in the same process: a compiled function that holds the lock stops it."""
    lines = [line for file in SOURCE.parent.rglob("*.py") for line in file.read_text().splitlines() if "njit(" in line]
    assert len(lines) > 40 and [line for line in lines if "nogil=True" not in line] == []
