import pytest

from ainerd.server.pages._bundle import bundle


def test_modules_become_one_script_in_the_order_in_which_they_need_each_other(tmp_path):
    (tmp_path / "views.js").write_text('import { one, Two as Zwei } from "./a.js";\nuse(one, Zwei);\n')
    (tmp_path / "a.js").write_text(
        'import {\n  three,\n} from "./b.js";\nexport const one = three;\nexport class Two {}\n'
    )
    (tmp_path / "b.js").write_text("export async function three() {}\nconst here_too = import.meta.url;\n")
    (tmp_path / "unused.js").write_text("never();\n")
    script = bundle(tmp_path)
    assert script.index("three() {}") < script.index("const one") < script.index("use(one, Zwei)")
    assert "const { one, Two: Zwei }" in script and "return { one, Two };" in script
    assert "import" not in script and "export" not in script and "never" not in script


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ('import { use } from "./views.js";\n', "import each other: views.js → a.js → views.js"),
        ("export default 1;\n", "a.js: this line is not understood: export default 1;"),
        ('import "./b.js";\n', 'not understood: import "./b.js";'),
    ],
)
def test_what_is_no_module_of_this_kind_is_refused(tmp_path, source, complaint):
    (tmp_path / "views.js").write_text('import { one } from "./a.js";\nexport const use = one;\n')
    (tmp_path / "a.js").write_text(source)
    with pytest.raises(ValueError, match=complaint):
        bundle(tmp_path)
