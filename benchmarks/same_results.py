"""Whether two commits train the same networks: every error and every weights file, compared on one machine in one run.

Works on two checkouts of this repository, by the command line alone, so it also compares commits whose modules lie in
different places. Runs three studies with each: the recipe quickstart of this checkout, one MNIST student of each
method, and a search with a fixed seed. Prints how many numbers and files were compared and which differ.

    python -m benchmarks.same_results COMMIT [--data-root DIR] [--studies quickstart mnist search]
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import mlflow
import pandas as pd
import torch
import yaml
from safetensors.torch import load_file

HERE = Path(__file__).parents[1]
TEACHER = {"network": "lenet-mnist", "train": {"epochs": 1}}
NOISE = {"sigma": 0.5, "alpha": 0.5}
STUDIES = {
    "quickstart": yaml.safe_load((HERE / "search_spaces/recipes/quickstart.yaml").read_text(encoding="utf-8")),
    "mnist": {
        "name": "mnist",
        "data": {"name": "mnist", "fraction": 0.2},
        "teachers": [TEACHER],
        "student": {"network": "fc800"},
        "train": {"epochs": 2},
        "arms": [
            {"method": "noisy_teacher", "sigma": [0.5, {"uniform": [0.01, 1]}], "alpha": 0.5},
            {"method": "noisy_teacher", **NOISE, "noise": "frozen"},
            {"method": "noisy_student", **NOISE},
            {"method": "soft_targets", "temperature": 4, "hard_loss_weight": 0.1},
            {"method": "labels", "dropout": 0.5},
        ],
        "seeds": [0],
    },
    "search": {
        "name": "search",
        "data": {"name": "digits"},
        "teachers": [{"network": "digits-cnn", "train": {"epochs": 4}}],
        "student": {"network": "digits-fc32"},
        "train": {"epochs": 8},
        "seeds": [0, 1],
        "search": {
            "space": "sigma_alpha",
            "train": {"lr": {"log_uniform": [0.001, 0.01]}},
            "sampler": "tpe",
            "trials": 16,
            "startup_trials": 6,
            "confirm": {"top": 2},
        },
        "resources": {"workers": 1},
    },
}
"""Study files by name. One worker where the order of ends would change proposals."""

METRICS = ("best_val_error", "test_error", "best_epoch", "train_loss")


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        before = Path(scratch) / "before"
        subprocess.run(
            ["git", "-C", HERE, "worktree", "add", "--quiet", "--detach", before, arguments.commit], check=True
        )
        try:
            different = [
                difference
                for name in arguments.studies
                for difference in _compared(name, before, Path(scratch), arguments.data_root)
            ]
        finally:
            subprocess.run(["git", "-C", HERE, "worktree", "remove", "--force", before], check=True)
    for line in different:
        print(line)
    sys.exit(1 if different else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the commit to compare this checkout with")
    parser.add_argument("--data-root", default=os.environ.get("NOISY_STUDY_DATA"), help="where MNIST lies")
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=list(STUDIES))
    return parser.parse_args()


def _compared(name: str, before: Path, scratch: Path, data_root: str | None) -> list[str]:
    """Run one study with both checkouts; the differences, one line each."""
    old, new = (
        _ran(name, tree, scratch / f"{name}-{side}", data_root) for side, tree in (("old", before), ("new", HERE))
    )
    numbers = sum(value is not None for run in new.values() for value in run.values())
    print(f"{name}: {len(new)} runs, {numbers} numbers and digests compared", flush=True)
    return [
        f"{name}: {run} {what}: {old.get(run, {}).get(what)} before, {new.get(run, {}).get(what)} now"
        for run in sorted(old.keys() | new.keys())
        for what in sorted(old.get(run, {}).keys() | new.get(run, {}).keys())
        if old.get(run, {}).get(what) != new.get(run, {}).get(what)
    ]


def _ran(name: str, tree: Path, folder: Path, data_root: str | None) -> dict[str, dict[str, object]]:
    """Run a study with the code of a checkout, in a folder of its own; what its runs say, by their names and stages."""
    folder.mkdir()
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDIES[name]), encoding="utf-8")
    module, _, function = _entry_point(tree).partition(":")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "OPTUNA_"))}
    environment |= {"PYTHONPATH": str(tree)} | ({"NOISY_STUDY_DATA": data_root} if data_root else {})
    program = (
        f"import study; assert study.__file__.startswith({str(tree)!r}); from {module} import {function}; {function}()"
    )
    command = [sys.executable, "-c", program, "run", "study.yaml"]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"{name} with {tree} ended with status {ran.returncode}: {ran.stderr[-2000:]}")
    return _results(folder, name)


def _entry_point(tree: Path) -> str:
    scripts = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    return str(scripts["noisy-study"])


def _results(folder: Path, name: str) -> dict[str, dict[str, object]]:
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    frame = mlflow.search_runs(experiment_names=[name], output_format="pandas")
    assert isinstance(frame, pd.DataFrame)
    found: dict[str, dict[str, object]] = {}
    for run in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        if run["tags.noisy_study.kind"] == "study":
            continue
        trial = str(run["tags.noisy_study.trial_id"])
        weights = folder / ".noisy-study" / "studies" / name / "trials" / trial / "weights.safetensors"
        digest = _digest(load_file(weights)) if weights.exists() else None
        values = {metric: run.get(f"metrics.{metric}") for metric in METRICS}
        found[f"{trial} ({run['tags.mlflow.runName']})"] = {**values, "weights": digest}
    return found


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    """Of the tensors alone: what else a file of weights holds differs from version to version."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


if __name__ == "__main__":
    main()
