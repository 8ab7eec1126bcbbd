"""Settings from general sections, the technique's section and the environment; problems in one line each."""

from pathlib import Path

import pytest

from ainerd.agent import build_technique
from ainerd.cli._shared import settings_at
from ainerd.config import Settings, SettingsError
from ainerd_xpcs.technique import RheoXPCSSettings, settings_with_parts

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted(path for path in (ROOT / "profiles").glob("*/*.toml") if ".instrument" not in path.suffixes)
SMALL = ROOT / "profiles" / "rheo_xpcs" / "small.toml"
BOUNDS = "[steering.bounds]\nx = [0.0, 1.0]"


def refused(path):
    """Return the one line about a file that cannot be used."""
    with pytest.raises(SettingsError) as error:
        build_technique(Settings.load(path))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_the_settings_of_each_profile_are_read(path):
    settings = Settings.load(path)
    assert settings.technique == "rheo_xpcs" and settings.folder == path.parent
    assert settings_with_parts()(**settings.section).partition.n_phi in (6, 8, 12, 18)


def test_results_and_their_files_go_where_tiled_is(tmp_path):
    (tmp_path / "catalog.db").touch()
    storage = settings_at(str(tmp_path), SMALL).storage
    assert (storage.uri, storage.result_files) == ("", tmp_path / "results") and storage.unwritten.parent == tmp_path
    elsewhere = settings_at("https://tiled.example.org/api/v1", SMALL).storage
    assert elsewhere.result_files is None and "tiled.example.org" in elsewhere.unwritten.name
    with pytest.raises(ValueError, match="not the folder of an embedded server"):
        settings_at(str(ROOT), SMALL)


@pytest.fixture
def environment(variables):
    """Set variables, whose names begin with ``AINERD_``."""
    return lambda **values: variables(**{f"AINERD_{name}": value for name, value in values.items()})


def test_the_environment_overrides_any_section(marble, environment):
    marble.write_text(marble.read_text().replace("width = 3", 'width = 3\nnameLong = "x"'))
    variables = {
        "MARBLE__WIDTH": "5",
        "MARBLE__NAMELONG": "5 m",
        "MARBLE__SIZE__INNER": "2.5",
        "STEERING__DOSE_LIMIT": "4",
    }
    environment(**variables, RHEO_XPCS__ALPHA="0.01")  # of another technique that is installed
    settings = Settings.load(marble)
    assert settings.steering.dose_limit == 4
    assert settings.section == {"width": 5, "nameLong": "5 m", "size": {"inner": 2.5}}


def test_the_environment_overrides_keys_of_tables_in_any_case(marble, environment):
    marble.write_text(marble.read_text() + '[recorded.readings]\nTemperature = "oven_T"\n')
    environment(STEERING__BOUNDS__X="[0, 0.5]", RECORDED__READINGS__TEMPERATURE="probe_T")
    environment(RECORDED__SERIES='{"Stress": "s"}', STORAGE__API_KEY="12345")  # text, not a number
    settings = Settings.load(marble)
    assert dict(settings.steering.bounds) == {"x": (0.0, 0.5)}
    assert settings.recorded.readings == {"Temperature": "probe_T"} and settings.recorded.series == {"Stress": "s"}
    assert settings.storage.api_key.get_secret_value() == "12345"
    environment(RECORDED__READINGS__TEMPERATUR="probe_T")
    line = "AINERD_RECORDED__READINGS__TEMPERATUR: unknown key, did you mean 'Temperature'?"
    assert refused(marble) == f"{marble}: {line}"


def test_a_home_in_a_path(marble, environment, tmp_path):
    environment(STORAGE__DIRECTORY="~/tiled", STORAGE__FRAMES='["~/data", "../x"]', STORAGE__RESULTS="~/results")
    storage, home = Settings.load(marble).storage, Path.home()
    assert (storage.directory, storage.results) == ((home / "tiled").resolve(), home / "results")
    assert storage.frames == [(home / "data").resolve(), marble.parent.parent / "x"]
    section = RheoXPCSSettings(partition={"file": "~/q.h5"}, bank="b", encoder="~/w.safetensors").anchored(tmp_path)
    assert (section.partition.file, section.bank) == ((home / "q.h5").resolve(), tmp_path / "b")
    assert section.encoder == str((home / "w.safetensors").resolve())
    environment(STORAGE__DIRECTORY="~nobody-here/tiled")
    assert "~nobody-here is not the home of anybody here" in refused(marble)


def test_documents_for_one_server_are_not_in_the_folder_of_another(marble, environment):
    folders = []
    for uri in ("", "http://one:8000/api/v1", "http://one:8000/api/v1/?api_key=secret", "http://two:8000/api/v1"):
        environment(STORAGE__URI=uri)
        folders.append(Settings.load(marble).storage.unwritten)
    here, one, with_key, two = folders
    assert here.name == "unwritten" and one.name == "http_one_8000_api_v1" and {one.parent, two.parent} == {here}
    assert with_key == one != two


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("sample_x = [0.0, 10.0]", "sample_x = [10, 0]", "sample_x needs two limits, the lower one first, got [10, 0]"),
        ("sample_x = [0.0, 10.0]\nsample_y = [0.0, 10.0]", "", "steering.bounds: Dictionary should have at least 1 it"),
        ("smallest_feature = 1.0", "smallest_feature = 300", "smallest_feature = 300 is wider than the bounds (10)"),
        ("smallest_feature = 1.0", 'smallest_feature = "1 mm"', "got '1 mm'"),
        ('sample_x = "mm"', 'sampel_x = "mm"', "units.sampel_x: nothing has that name, did you mean 'sample_x'?"),
        ('stress = "rh', 'shear_rate = "rh', "recorded: series.shear_rate is also in readings, rename one of them"),
        ("[storage]", '[storage]\nuri = "localhost:8000"', "not an address, did you mean 'http://localhost:8000'?"),
        ("sample_x = [0.0, 10.0]", "sample_x = [-1e308, 1e308]", "sample_x is limited to ±1e+09"),
        ("late_s = 0.5", "late_s = 1e6", "storage.late_s: Input should be less than or equal to 86400"),
        ('["../../output/small/frames"]', '["/"]', "storage.frames: / would let a run read every file of this machine"),
        ("distance_m = 6.0", "distance_m = -6.0", "rheo_xpcs.partition.distance_m: Input should be greater than"),
        ("n_phi = 18", "n_fi = 18", "rheo_xpcs.partition.n_fi: unknown key, did you mean 'n_phi'?"),
        ('encoder = "run"', "encoder = 'weights'", "technique rheo_xpcs: weights: no such model"),
        ('name = "rheo_xpcs"', "", "name: Field required"),
        ("[recorded.series]", "[recoded.series]", "recoded: unknown key, did you mean 'recorded'?"),
        ("beam_size = 0.1", "preshear = []", "a key of the technique goes to [rheo_xpcs]"),
        ("[rheo_xpcs.partition]", "[rheo_xpcs.partition", "is not TOML"),
        ("x = [0.0, 10.0]", "x = [nan, 10.0]", "steering.bounds.sample_x.0: Input should be a finite number, got nan"),
        ("sample_x = [0", '"sample.x" = [0', "steering.bounds: 'sample.x' is not a name of an actuator"),
        ('name = "rheo_xpcs"', 'name = "x"\n_env_file = "/etc/passwd"', "_env_file: unknown key"),
        ('name = "rheo_xpcs"', 'name = "x"\ntechnique = "rheo_xpc"', "did you mean 'rheo_xpcs'?"),
    ],
)
def test_problems_name_the_key(tmp_path, before, after, message):
    text = SMALL.read_text()
    assert before in text
    (tmp_path / "agent.toml").write_text(text.replace(before, after, 1))
    assert message in refused(tmp_path / "agent.toml")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("[marble]", "[marbel]", "marbel: unknown key, did you mean 'marble'?"),
        ("[marble]", "[rheo_xpcs]", "technique is 'marble', remove the section or write technique = 'rheo_xpcs'"),
        ("width = 3", "width = 13", "technique marble: KeyError: 'no such key'"),
        ('technique = "marble"', 'technique = "nobodys"\n[nobodys]', "'nobodys'"),
        (BOUNDS, "[steering.knobs.T]\nvalues = [300]", "steering.knobs.T: values needs two or more, got [300.0]"),
        (BOUNDS, "[steering.knobs.T]\nspede = 1\nrange = [0, 1]", "steering.knobs.T.spede: unknown key, did you mean"),
    ],
)
def test_another_techniques_settings_too(marble, before, after, message):
    marble.write_text(marble.read_text().replace(before, after))
    assert message in refused(marble)


def test_a_missing_section_is_named_unless_the_technique_needs_none(marble):
    marble.write_text(marble.read_text().replace("[marble]\nwidth = 3", ""))
    assert build_technique(Settings.load(marble)).settings.width == 1
    marble.write_text(marble.read_text().replace('technique = "marble"', ""))
    assert refused(marble) == f"{marble}: there is no section [rheo_xpcs], which needs partition"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RHEO_XPC__ALPHA", "AINERD_RHEO_XPC__ALPHA: unknown key, did you mean 'rheo_xpcs'?"),
        ("RHEO_XPCS__ALPHA__MORE", "AINERD_RHEO_XPCS__ALPHA__MORE: alpha is not a table"),
        ("STORAGE_LATE_S", "AINERD_STORAGE_LATE_S: write two underscores after AINERD_STORAGE"),
        ("RHEO_XPCS__ALPHABET", "rheo_xpcs.alphabet: unknown key, did you mean 'alpha'?"),
    ],
)
def test_an_unknown_variable_is_refused(environment, name, message):
    environment(**{name: "0.01"})
    assert message in refused(SMALL)


@pytest.mark.parametrize("value", ["{api_key: SECRET123}", '{"api_key": ["SECRET123"]}'])
def test_problems_do_not_show_the_api_key(environment, value):
    environment(STORAGE=value)
    message = refused(SMALL)
    assert "storage" in message.lower() and "SECRET" not in message
