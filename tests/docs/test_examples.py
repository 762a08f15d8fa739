"""The study files in README and documentation are valid."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from study.config import StudyConfig, dump_study, parse_study

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WHOLE: dict[str, Any] = {
    "name": "example",
    "data": {"name": "cifar10"},
    "teachers": [{"network": "nin"}],
    "student": {"network": "student1"},
    "arms": [{"method": "labels"}],
}
"""What an example that shows some keys only is completed with."""


def _examples() -> list[Any]:
    found = []
    for page in PAGES:
        for place, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)):
            keys = yaml.safe_load(block)
            if isinstance(keys, dict) and keys.keys() <= StudyConfig.model_fields.keys():
                found.append(pytest.param(keys, id=f"{page.name}-{place}"))
    return found


def test_there_are_examples() -> None:
    assert len(_examples()) >= 5


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with the code of the how-to guide that its study files name."""
    text = (ROOT / "docs/how-to.md").read_text(encoding="utf-8")
    code = re.findall(r"^<!-- example: [^\n]* in mine.py -->\n```python\n(.*?)^```", text, re.M | re.S)
    (tmp_path / "mine.py").write_text("\n".join(code), encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("own_code")
@pytest.mark.parametrize("keys", _examples())
def test_an_example_is_a_study_file(keys: dict[str, Any]) -> None:
    base = {**WHOLE, "arms": []} if "search" in keys else WHOLE
    config = parse_study(yaml.safe_dump({**base, **keys}), "the example")
    assert parse_study(dump_study(config), "again") == config
