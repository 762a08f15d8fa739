"""How much room files take on the disk.

Works on folders. Knows nothing of studies.
"""

import os
from pathlib import Path

_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_below(folder: Path) -> int:
    """The bytes of all files in a folder and below; 0 for a folder that does not exist.

    A file that another process removes meanwhile is not counted. Links are not followed.
    """
    total = 0
    for directory, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(directory, file)).st_size
            except FileNotFoundError:
                continue
    return total


def in_words(count: int) -> str:
    """A number of bytes with a unit: `0 B`, `999 B`, `1.5 kB`, `12 MB`."""
    number, unit = float(count), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 or number >= 10 else f"{number:.1f} {_UNITS[unit]}"
