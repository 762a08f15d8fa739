"""Every data set is declared once to the study file and once to the loader, under one name."""

import pytest
from pydantic import ValidationError

from study.config import DataConfig
from study.data.sources import SOURCES
from study.datasets import DATA_DEFAULTS


def test_both_declarations_name_the_same_data_sets() -> None:
    assert [source.name for source in SOURCES] == list(DATA_DEFAULTS)


@pytest.mark.parametrize("name", DATA_DEFAULTS)
def test_the_defaults_of_a_data_set_are_valid(name: str) -> None:
    path = {"path": "pictures"} if name in ("image_folder", "arrays") else {}
    config = DataConfig.model_validate({"name": name, **path})
    assert {key: getattr(config, key) for key in DATA_DEFAULTS[name]} == {
        key: tuple(value) if isinstance(value, list) else value for key, value in DATA_DEFAULTS[name].items()
    }


def test_an_unknown_data_set_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValidationError, match=r"'digits', 'mnist', 'fashion_mnist', .*'arrays' or 'image_folder'"):
        DataConfig.model_validate({"name": "imagenet"})
