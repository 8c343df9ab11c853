from dataclasses import fields, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reidsearch import config, environment
from reidsearch.config import Config
from reidsearch.errors import UsageError
from reidsearch.settings import Audit, CatalogUrl


def test_without_anything_the_defaults_hold_and_the_shipped_encoder_is_there() -> None:
    settings = config.load({}, environment={})
    assert settings.qdrant_url is None
    assert settings.encoder.is_file()
    assert settings.data_dir.name == "reidsearch"
    assert set(settings.sources.values()) == {"default"}


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "reidsearch.toml"
    file.write_text('data_dir = "from-file"\nencoder = "file.onnx"\nqdrant_url = "http://file"\n')
    settings = config.load(
        {"data_dir": "from-flag", "encoder": None},
        environment={"REIDSEARCH_DATA_DIR": "from-env", "REIDSEARCH_ENCODER": "env.onnx"},
        file=file,
    )
    assert settings.data_dir == Path("from-flag")
    assert settings.encoder == Path("env.onnx")
    assert settings.qdrant_url == "http://file"
    assert settings.sources == {
        "data_dir": "flag",
        "encoder": "environment",
        "qdrant_url": str(file),
        "device": "default",
        "audit": "default",
        "retain_days": "default",
        "exact_up_to": "default",
        "qdrant_shards": "default",
        "qdrant_replicas": "default",
        "qdrant_write_consistency": "default",
        "qdrant_on_disk": "default",
        "qdrant_quantised": "default",
        "timezone": "default",
        "server": "default",
        "token_file": "default",
        "catalog_url": "default",
        "thumbnails": "default",
    }


def test_of_a_data_dir_and_a_service_the_one_given_nearer_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "reidsearch.toml"
    file.write_text('server = "http://file"\ndata_dir = "from-file"\n')
    here = {"REIDSEARCH_DATA_DIR": "from-env"}
    there = {"REIDSEARCH_SERVER": "http://env"}
    assert config.load({}, environment={}, file=file).server == "http://file"
    assert config.load({}, environment=here, file=file).server is None
    assert config.load({}, environment=there, file=file).server == "http://env"
    assert config.load({"data_dir": "flag"}, environment=there, file=file).server is None
    assert config.load({"server": "http://flag"}, environment=here).server == "http://flag"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data_dirr = 'x'", "unknown key 'data_dirr'"),
        ("data_dir = 3", "must be text"),
        ("data_dir =", "cannot be read"),
    ],
)
def test_a_file_with_mistakes_is_an_error_that_names_them(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "reidsearch.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        config.load({}, environment={}, file=file)


def test_arguments_from_python_are_named_as_such_and_beat_the_environment() -> None:
    environment = {"REIDSEARCH_DATA_DIR": "from-env", "REIDSEARCH_DEVICE": "cuda"}
    settings = config.load(
        {"data_dir": "given", "device": ""}, environment=environment, source="argument"
    )
    assert (settings.data_dir, settings.sources["data_dir"]) == (Path("given"), "argument")
    assert (settings.device, settings.sources["device"]) == ("cuda", "environment")


def test_a_setting_is_declared_once_and_known_everywhere(tmp_path: Path) -> None:
    """Its key, its variable and its help follow from its field in Config."""
    texts = {
        "data_dir": "home", "qdrant_url": "http://here", "encoder": "mine.onnx", "device": "cuda",
        "audit": "off", "retain_days": "30", "exact_up_to": "7",
        "qdrant_shards": "3", "qdrant_replicas": "2", "qdrant_write_consistency": "1",
        "qdrant_on_disk": "false", "qdrant_quantised": "false",
        "timezone": "Asia/Kolkata", "server": "http://there:8733", "token_file": "token",
        "catalog_url": "postgresql+psycopg://ann@there/people", "thumbnails": "true",
    }  # fmt: skip
    assert tuple(texts) == config.KEYS
    assert {*config.KEYS, "sources"} == {field.name for field in fields(Config)}
    assert all(setting.help.endswith(".") for setting in config.SETTINGS.values())
    variables = {config.variable(key): text for key, text in texts.items()}
    assert list(variables)[-1] == "REIDSEARCH_THUMBNAILS"
    file = tmp_path / "reidsearch.toml"
    file.write_text("\n".join(f'{key} = "{text}"' for key, text in texts.items()))
    expected = Config(
        *(Path("home"), "http://here", Path("mine.onnx"), "cuda", {}, Audit.OFF),
        retain_days=30,
        exact_up_to=7,
        qdrant_shards=3,
        qdrant_replicas=2,
        qdrant_write_consistency=1,
        qdrant_on_disk=False,
        qdrant_quantised=False,
        timezone=ZoneInfo("Asia/Kolkata"),
        server="http://there:8733",
        token_file=Path("token"),
        catalog_url=CatalogUrl("postgresql+psycopg://ann@there/people"),
        thumbnails=True,
    )
    for found in (
        config.load(texts, environment={}),
        config.load({}, environment=variables),
        config.load({}, environment={}, file=file),
    ):
        assert replace(found, sources={}) == expected


def test_only_numbers_may_stand_in_the_file_without_quotes(tmp_path: Path) -> None:
    file = tmp_path / "reidsearch.toml"
    file.write_text("retain_days = 30\n")
    assert config.load({}, environment={}, file=file).retain_days == 30
    file.write_text("retain_days = true\n")
    with pytest.raises(UsageError, match="must be text"):
        config.load({}, environment={}, file=file)


def test_what_is_on_or_off_is_true_or_false(tmp_path: Path) -> None:
    file = tmp_path / "reidsearch.toml"
    for text, meant in (("true", True), ("false", False)):
        file.write_text(f"thumbnails = {text}\n")
        assert config.load({}, environment={}, file=file).thumbnails is meant
    with pytest.raises(UsageError, match=r"'maybe' \(environment\) is neither true nor false"):
        config.load({}, environment={"REIDSEARCH_THUMBNAILS": "maybe"})


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("audit", "perhaps", r"audit 'perhaps' \(environment\) is none of on, pictures, off"),
        ("retain_days", "0", r"retain_days '0' \(environment\) is not a number of days"),
        ("retain_days", "a week", "is not a number of days"),
        ("exact_up_to", "-1", r"exact_up_to '-1' \(environment\) is not a number of images"),
        ("qdrant_url", "http://me:secret@here", "holds a user or a password"),
        ("server", "http://me:secret@here", "holds a user or a password"),
        ("server", "here:8733", r"server 'here:8733' \(environment\) is no URL of a service"),
        ("data_dir", "a\0b", "cannot be a path"),
        ("timezone", "Mars/Base", r"timezone 'Mars/Base' is no time zone .*\(environment\)"),
        ("timezone", "../../etc/passwd", "is no time zone"),
        ("timezone", "/etc/localtime", "is no time zone"),
    ],
)
def test_a_value_that_cannot_be_is_an_error(key: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        config.load({}, environment={config.variable(key): text})
    assert "secret" not in error.value.message + error.value.hint


def test_what_only_the_environment_holds_is_no_setting() -> None:
    secrets = {name: f"kept {name}" for name in environment.VARIABLES}
    settings = config.load({}, environment=secrets)
    assert settings == config.load({}, environment={})
    known = {
        environment.OPERATOR,
        environment.MACHINE,
        environment.API_KEY,
        environment.API_KEY_FILE,
        environment.TOKEN,
        environment.CATALOG_PASSWORD_FILE,
    }
    assert known == set(environment.VARIABLES)
    assert not environment.VARIABLES.keys() & {config.variable(key) for key in config.KEYS}
