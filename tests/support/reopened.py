"""A storage that outlives whoever opened it."""

from collections.abc import Callable

from optuna.storages import BaseStorage

Reopened = Callable[[], BaseStorage]
"""Opens the same storage as often as it is called, as a restarted driver does."""
