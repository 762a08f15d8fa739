"""How much room files take on the disk.

Works on folders. Knows nothing of studies.
"""

import os
from pathlib import Path


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
