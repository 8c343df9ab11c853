from pathlib import Path

import pytest

from reidsearch import config
from reidsearch.errors import UsageError


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
    }


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
