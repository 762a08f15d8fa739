"""A plugin of the tests: every study of the fault tests once undisturbed."""

import json
from collections.abc import Callable

import pytest

from support.disturbed import Document, Study

Undisturbed = Callable[[Document], Study]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The same study where nothing happens to it."""
    studies: dict[str, Study] = {}

    def study(document: Document) -> Study:
        whole = json.dumps(document, sort_keys=True)  # two documents may have one name
        if whole not in studies:
            studies[whole] = Study(tmp_path_factory.mktemp(f"undisturbed-{document['name']}"), document)
            studies[whole].finish("run", studies[whole].file.name)
        return studies[whole]

    return study
