"""Any text and any document is a study file or mistakes of one line each, and a printed study file reads as equal."""

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.study_files import Document, anything, changed, studies, study_file

from study.config import (
    StudyConfig,
    dump_study,
    parse_study,
)
from study.errors import UserError


def _is_a_config_or_one_line(text: str, *overrides: str) -> StudyConfig | None:
    try:
        config = parse_study(text, "study.yaml", overrides)
    except UserError as error:
        lines = str(error).splitlines()
        assert 1 <= len(lines) <= 21
        assert all(len(line) < 1000 for line in lines)
        return None
    assert parse_study(dump_study(config), "dump") == config
    return config


@given(studies)
@settings(max_examples=60, deadline=None)
def test_a_printed_study_reads_as_the_same_study(document: Document) -> None:
    config = parse_study(yaml.safe_dump(document, allow_unicode=True), "study.yaml")
    assert parse_study(dump_study(config), "dump") == config
    assert dump_study(parse_study(dump_study(config), "dump")) == dump_study(config)
    assert config == StudyConfig.model_validate(document)


@given(st.text() | st.text(alphabet="abc:-[]{}&*!|>?%@#'\",\n\t 01."))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_study_or_one_line(text: str) -> None:
    assert _is_a_config_or_one_line(text) is None  # nobody writes a study by chance


@given(anything)
@settings(max_examples=300, deadline=None)
def test_any_yaml_is_a_study_or_one_line(document: Any) -> None:
    _is_a_config_or_one_line(yaml.dump(document))


@given(changed())
@settings(max_examples=150, deadline=None)
def test_a_study_with_any_changed_value_is_a_study_or_one_line(document: Document) -> None:
    """A study file with anything in any place is a study or a mistake in one line."""
    _is_a_config_or_one_line(yaml.dump(document))


@given(st.text(), anything)
@settings(max_examples=100, deadline=None)
def test_any_override_is_a_study_or_one_line(key: str, value: Any) -> None:
    _is_a_config_or_one_line(study_file(), f"{key}={yaml.dump(value)}", key)
