"""This package as an ordinary installation: a wheel that was built of the checkout, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def installed_wheel(folder: Path) -> Path:
    """The folder with the installed packages of the wheel; the wheel itself lies in `folder`.

    The wheel is built of copies, because a build writes into its source.
    """
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    sources = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    checkout = folder / "checkout"
    for name in filter(None, map(os.fsdecode, sources)):
        if name.startswith(("study/", "models/", "search_spaces/")) or name in (
            "pyproject.toml",
            "README.md",
            "LICENSE",
        ):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(checkout)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "packages"), str(wheel)], check=True)
    return folder / "packages"


def python_with(packages: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in a working folder, with the installed packages before those of the checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"PYTHONPATH": str(packages)}
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
