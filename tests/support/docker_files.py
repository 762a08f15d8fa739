"""Where the files of docker/ lie, and how they are read."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
CLOUD = DOCKER / "cloud"


def load(file: Path) -> Any:
    """The one document of a YAML file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def secrets() -> set[str]:
    """The variables that `.env.example` leaves for its reader to fill in."""
    return set(re.findall(r"^([A-Z_]+)=", (DOCKER / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
