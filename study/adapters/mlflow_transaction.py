"""Several writes to MLflow's database in one transaction.

Works on MLflow's own store for SQL databases. MLflow opens a session and commits for every part of every write: five
times for a trial of one epoch, and every commit waits for the disk. Here the writes of a block share sessions, and a
session is committed when it is as old as `SECONDS`, between two writes of MLflow. MLflow makes the rows itself, so they
are the same. Knows nothing of studies.

Written for mlflow 3.17, whose attribute `SqlAlchemyStore.ManagedSessionMaker` is private. It replaces this attribute of
a store for the thread that is in the block. With another version, with another shape, or with a server that is not a
database, every write is committed by itself: the same rows, written more slowly.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from study.adapters.versions import is_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

WRITTEN_FOR = "3.17"

ATTRIBUTE = "ManagedSessionMaker"

SECONDS = 0.5
"""How long a session may hold the database's lock before it is committed. MLflow's other writers wait for 20 s."""


class _MakesSessions(Protocol):
    """What MLflow has: a context of one session, which commits at its end, or rolls back after an error."""

    def __call__(self, read_only: bool = True) -> AbstractContextManager[Any]: ...


class Abandoned(Exception):
    """MLflow repairs a write by rolling back its session, which others share. Nothing since the last commit is written.

    It happens where a metric is written twice. Write everything again, without a shared session.
    """


_LOCK = threading.Lock()


def has_sessions() -> bool:
    """Whether the private part is the one this adapter was written for."""
    import mlflow
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    code = getattr(getattr(SqlAlchemyStore, "__init__", None), "__code__", None)
    names: tuple[str, ...] = getattr(code, "co_names", ())
    return is_version(mlflow.__version__, WRITTEN_FOR) and ATTRIBUTE in names


@contextmanager
def one_transaction(client: "MlflowClient") -> Iterator[None]:
    """Commit what the block writes by this client together, where that is possible.

    After an error, everything since the last commit is rolled back, and the error is raised again.

    Args:
        client: of a tracking server. Other threads that use it are not concerned.

    Raises:
        Abandoned: MLflow repairs a write in a way that needs a session of its own.
    """
    store = getattr(getattr(client, "_tracking_client", None), "store", None)
    if not hasattr(store, ATTRIBUTE) or not has_sessions():
        yield
        return
    sessions = _sessions_of(store)
    shared = sessions.shared = _Shared(sessions.own)
    try:
        yield
        shared.commit()
    except BaseException as error:
        shared.roll_back()
        if shared.is_abandoned:
            raise Abandoned from error
        raise
    finally:
        sessions.shared = None


class _Sessions(threading.local):
    """Stands in for the attribute of a store. In a thread that shares a session it gives this one.

    Attributes:
        own: what MLflow made.
        shared: of this thread.
    """

    def __init__(self, own: _MakesSessions) -> None:
        self.own = own
        self.shared: _Shared | None = None

    def __call__(self, read_only: bool = True) -> AbstractContextManager[Any]:
        return self.own(read_only=read_only) if self.shared is None else self.shared.session()


def _sessions_of(store: Any) -> _Sessions:
    """Put ours into a store. All clients of one address share a store, so it may be there already."""
    with _LOCK:
        present: _MakesSessions | _Sessions = getattr(store, ATTRIBUTE)
        if isinstance(present, _Sessions):
            return present
        sessions = _Sessions(present)
        setattr(store, ATTRIBUTE, sessions)
        return sessions


class _Shared:
    """The session that the writes of a thread share.

    Args:
        own: makes MLflow's sessions.

    Attributes:
        is_abandoned: whether MLflow rolled it back.
    """

    def __init__(self, own: _MakesSessions) -> None:
        self.is_abandoned = False
        self._own = own
        self._session: Any = None
        self._context = ExitStack()
        self._depth = 0
        self._began = 0.0

    @contextmanager
    def session(self) -> Iterator[Any]:
        """One of MLflow's contexts, which may be inside another one. It commits nothing."""
        if self._session is None:
            self._session = self._context.enter_context(self._own(read_only=False))
            self._session.commit, self._session.rollback = self._session.flush, self._abandon
            self._began = time.monotonic()
        self._depth += 1
        try:
            yield self._session
            self._session.flush()
        finally:
            self._depth -= 1
        if self._depth == 0:
            self._session.expunge_all()  # the next context reads what it needs, as with a session of its own
            if time.monotonic() - self._began > SECONDS:
                self.commit()

    def commit(self) -> None:
        """Commit what was written. The next context has a new session."""
        if self._session is not None:
            self._give_back()
            self._context.close()

    def roll_back(self) -> None:
        """Roll back what was written since the last commit."""
        from mlflow.exceptions import MlflowException

        if self._session is not None:
            self._give_back()
            with suppress(MlflowException):  # made of the error that it gets
                self._context.__exit__(Abandoned, Abandoned(), None)

    def _give_back(self) -> None:
        """Let the session commit and roll back again."""
        del self._session.commit, self._session.rollback
        self._session = None

    def _abandon(self) -> None:
        """Stands in for the session's `rollback`, which would also roll back the writes before."""
        self.is_abandoned = True
        raise Abandoned
