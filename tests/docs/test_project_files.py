"""The files around the source agree with each other: metadata, Makefile, CI, hooks, changelog, citation, templates."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def _make(*words: str) -> str:
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", MAKEFILE, flags=re.M)
    assert phony is not None
    targets = phony[1].replace("\\", "").split()
    listed = re.findall(r"^make ([\w-]+) +\S", _make("help"), flags=re.M)
    assert sorted(listed) == sorted(targets)


@pytest.mark.parametrize("target", ["setup", "lint", "test", "quickstart", "docs"])
def test_everyday_targets_leave_the_system_alone(target: str) -> None:
    assert "apt-get" not in _make("--dry-run", "--always-make", target)


def test_ci_brings_a_browser_before_the_tests() -> None:
    """CI's machine has none, and the tests that look at pages are skipped without."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert [line for line in script.splitlines() if line.startswith("make ")] == ["make browser", "make test"]


def test_each_named_python_is_tested() -> None:
    """`make test` runs on the lowest version, `make test-pythons` on the others."""
    named = re.findall(r":: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), flags=re.M)
    others = re.search(r"^PYTHONS \?= (.*)$", MAKEFILE, flags=re.M)
    assert others is not None
    assert named == [PROJECT["requires-python"].removeprefix(">="), *others[1].split()]


def test_each_dependency_has_a_lowest_version() -> None:
    """Else the resolver of `make test-lowest` takes the first release that ever was."""
    extras = [needed for name in ("export", "cluster") for needed in PROJECT["optional-dependencies"][name]]
    for needed in [*PROJECT["dependencies"], *extras]:
        assert needed.startswith("noisy-teacher-study[") or ">=" in needed, needed


def test_the_hooks_are_the_checks_of_make_lint() -> None:
    (repo,) = _yaml(".pre-commit-config.yaml")["repos"]
    hooks = [hook["entry"].replace(" --force-exclude", "") for hook in repo["hooks"]]
    lint = re.search(r"^lint: setup\n((?:\t.*\n)+)", MAKEFILE, flags=re.M)
    assert lint is not None
    assert hooks == [line.strip().replace("$(BIN)", ".venv/bin").removesuffix(" .") for line in lint[1].splitlines()]


def test_citation_and_changelog_have_the_version() -> None:
    assert _yaml("CITATION.cff")["version"] == PROJECT["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+?)(?:,.*)?$", changelog, flags=re.M)
    assert newest is not None
    assert newest[1] == PROJECT["version"]


def test_the_entry_to_cite_is_that_of_the_citation_file() -> None:
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bibtex\n(.*?)^```$", text, flags=re.M | re.S)
    citation = _yaml("CITATION.cff")
    (paper,) = citation["references"]
    fields = re.findall(r"^  (\w+) += \{(.*)\},?$", block, flags=re.M)
    assert fields[:3] == [
        ("author", f"{{{citation['authors'][0]['name']}}}"),
        ("title", citation["title"]),
        ("version", citation["version"]),
    ]
    assert ("title", paper["title"]) in fields
    assert ("year", str(paper["year"])) in fields
    assert all(author["family-names"] in block for author in paper["authors"])
    assert paper["identifiers"][0]["value"] in block


def test_the_changelog_has_three_lists_for_a_version() -> None:
    """Every line between two headings belongs to an entry, so that nothing was merged to a place without a list."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.split(r"^## .*$", changelog, flags=re.M)[1:]
    assert versions
    for version in versions:
        assert re.findall(r"^### (.*)$", version, flags=re.M) == ["Added", "Changed", "Fixed"]
        entries = re.sub(r"^### .*$", "", version, flags=re.M).split("\n")
        assert all(re.match(r"- \S|  \S|$", line) for line in entries)
    entries = re.findall(r"^- (?:.*\n)(?:  .*\n)*", changelog, flags=re.M)
    assert len(entries) == len(set(entries))


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_a_template_of_an_issue_is_a_form(name: str) -> None:
    form = _yaml(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert {"name", "description", "body"} <= form.keys()
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) > 1
    assert all(field["attributes"]["label"] for field in form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_readme_shows_the_first_output_early() -> None:
    """A picture, two commands and what they print come first, in two screens; the parts have the agreed order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before = text[: text.index("quickstart: improvement over the baseline")]
    assert len(before.splitlines()) <= 40
    assert before.index("![") < before.index("make quickstart") < before.index("make test")
    assert re.findall(r"^## (.*)$", text, flags=re.M) == [
        "Two commands",
        "Your own study",
        "What was found",
        "Browse the trials",
        "Scale to a cluster",
        "More",
    ]
    found = text.split("## What was found\n")[1].split("\n## ")[0]
    assert len(re.findall(r"^- \[.*\]\(docs/results/.*\): ", found, flags=re.M)) >= 3
