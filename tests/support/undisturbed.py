"""A plugin of the tests: every study of the fault tests once undisturbed."""

from collections.abc import Callable

import pytest

from support.disturbed import Document, Study

Undisturbed = Callable[[Document], Study]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The same study where nothing happens to it."""
    studies: dict[str, Study] = {}

    def study(document: Document) -> Study:
        name = str(document["name"])
        if name not in studies:
            studies[name] = Study(tmp_path_factory.mktemp(f"undisturbed-{name}"), document)
            studies[name].finish("run", studies[name].file.name)
        return studies[name]

    return study
