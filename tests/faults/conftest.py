"""The commands of these tests are forks of one process, which has their imports."""

from collections.abc import Iterator

import pytest
from support import disturbed
from support.fork_server import Forking


@pytest.fixture(scope="session", autouse=True)
def forking() -> Iterator[None]:
    """A server that forks for each command; it starts with the first one."""
    server = Forking()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disturbed, "launched", server.command)
        yield
    server.close()
