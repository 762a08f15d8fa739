"""The error by which PyTorch says that it cannot trace a network.

Works on one class of exceptions. Knows nothing of networks.

Written for torch 2.14, where that class is `torch._dynamo.exc.UserError`, which is private. It replaces `RuntimeError`,
its public base class. With another version or another base class, `RuntimeError` is used: the same line for a network
that cannot be traced, and for other errors of PyTorch that are raised there too.
"""

from study.adapters.versions import is_version

WRITTEN_FOR = "2.14"


def cannot_be_traced() -> type[Exception]:
    """The class of the exception that `torch.export.export` raises for such a network."""
    import torch

    found: object = None
    if is_version(torch.__version__, WRITTEN_FOR):
        from torch import _dynamo

        found = getattr(_dynamo.exc, "UserError", None)
    return found if isinstance(found, type) and issubclass(found, RuntimeError) else RuntimeError
