"""Which version of a library is installed, compared with the one that an adapter was written for.

Works on version numbers. Knows nothing of any library.
"""


def is_version(installed: str, written_for: str) -> bool:
    """Whether the installed version is a patch release of the version that an adapter was written for.

    Args:
        installed: the library's `__version__`, for instance "2.60.1" or "2.14.1+cpu".
        written_for: major and minor number, for instance "2.60".
    """
    return installed.split(".")[:2] == written_for.split(".")
