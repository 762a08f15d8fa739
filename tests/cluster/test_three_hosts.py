"""A study on three hosts: submitted from a fourth, with everything that can go wrong in between.

The hosts are network namespaces (`hosts.py`). Ray wants its token, MLflow its password; MLflow and the journals lie in
a real PostgreSQL. What the hosts share is a folder.
"""

import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from support.hosts import BIN, Host, RayCluster, hosts_on_a_bridge, wait_until, why_not
from support.rig import HERE, ON_ONE_MACHINE, Laptop, TrackingServer

pytestmark = pytest.mark.cluster

TRIALS = 24
STUDY = {
    "name": "local",
    "data": {"name": "digits"},
    "teachers": [{"network": "FC32-FC10", "train": {"epochs": 2}}],
    "student": {"network": "FC10"},
    "train": {"epochs": 2, "patience": 0},
    "arms": [{"method": "noisy_teacher", "alpha": 0.5, "sigma": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}],
    "seeds": [0, 1, 2],
}
PLACED = re.compile(r"^grid: (\d+) trials on (\d+) nodes \((.*)\); copies .*: (\d+) of the images, (\d+) of the", re.M)


@pytest.fixture(scope="session")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[Host]]]:
    if (missing := why_not()) is not None:
        pytest.skip(missing)
    with hosts_on_a_bridge(3, tmp_path_factory.mktemp("hosts")) as made:
        yield made


@pytest.fixture(scope="session")
def storage_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all hosts share."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def tracking(
    bridge: tuple[str, list[Host]], postgresql: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServer]:
    folder = tmp_path_factory.mktemp("mlflow")
    server = TrackingServer(store=postgresql(), folder=folder, host=bridge[0], logins=postgresql())
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def three_hosts(
    bridge: tuple[str, list[Host]], tracking: TrackingServer, storage_root: Path, postgresql: Callable[[], str]
) -> Iterator[RayCluster]:
    token = secrets.token_hex(32)
    of_workers = {
        **HERE,
        **ON_ONE_MACHINE,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "NOISY_STUDY_ROOT": str(storage_root),
    }
    of_head = {**of_workers, **tracking.login, "OPTUNA_STORAGE": postgresql()}
    cluster = RayCluster(bridge[1], of_head, token, of_workers)
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(three_hosts: RayCluster, tracking: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> RayCluster:
    """All three hosts up, whatever the test before did to them; and the login for this process."""
    for name, value in tracking.login.items():
        monkeypatch.setenv(name, value)
    if not tracking.answers():
        tracking.kill()
        tracking.start()
    three_hosts.mend()
    return three_hosts


@pytest.fixture
def laptop(cluster: RayCluster, tracking: TrackingServer, tmp_path: Path) -> Laptop:
    access = {"RAY_API_SERVER_ADDRESS": cluster.url, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": cluster.token}
    return Laptop(tmp_path, {**HERE, **ON_ONE_MACHINE, **tracking.login, **access})


@pytest.fixture(scope="session")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("study") / "small.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    return str(file)


@pytest.fixture(scope="session")
def local_rows(study_file: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The table that one machine alone gives."""
    alone = Laptop(tmp_path_factory.mktemp("alone"), HERE)
    ran = alone("run", study_file)
    assert ran.returncode == 0, ran.stderr
    return alone.table("local")["rows"]


def results(root: Path, study: str) -> int:
    return len(list((root / "studies" / study / "trials").glob("grid-*/result.json")))


def submitted(laptop: Laptop, study_file: str, name: str, *words: str) -> str:
    """Submit without waiting; returns the job's id."""
    sent = laptop("submit", study_file, "--name", name, "--no-wait", *words)
    assert sent.returncode == 0, sent.stderr
    found = re.search(r"^job (\S+);", sent.stderr, re.M)
    assert found is not None, sent.stderr
    return found[1]


def every_trial_is_there_once(tracking: TrackingServer, study: str) -> None:
    runs = tracking.runs(study)
    assert len({run.data.tags["noisy_study.trial_id"] for run in runs}) == len(runs) == TRIALS
    assert {run.info.status for run in [*runs, *tracking.runs(study, "study")]} == {"FINISHED"}


def delivered(ended: subprocess.CompletedProcess[str], cluster: RayCluster, study: str) -> None:
    """A job that ended well; where the machine was so busy that the tracking server fell behind, it is waited for."""
    said = ended.stdout + ended.stderr
    if ended.returncode == 1 and f"send them with: noisy-study sync {study}" in said:
        sync = [str(BIN / "noisy-study"), "sync", study]
        wait_until(lambda: subprocess.run(sync, env={**cluster.environment}, check=False).returncode == 0, said, 900)
    else:
        assert ended.returncode == 0, said


def test_study_runs_on_all_hosts_like_on_one(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, study_file: str, local_rows: Any
) -> None:
    """The study uses every host, loads its data once per host and gives the table of a single machine."""
    ran = laptop("submit", study_file, "--name", "spread")
    delivered(ran, cluster, "spread")
    placed = PLACED.search(ran.stdout)
    assert placed is not None, ran.stdout
    trials, nodes, which, images, logits = placed.groups()
    assert (int(trials), int(nodes), int(images), int(logits)) == (TRIALS, 3, 3, 3)
    assert set(re.findall(r"([\d.]+): \d+", which)) == {host.address for host in cluster.hosts}
    every_trial_is_there_once(tracking, "spread")
    assert laptop.table("spread")["rows"] == local_rows


def test_study_survives_a_host_cut_off(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, storage_root: Path, study_file: str, local_rows: Any
) -> None:
    """A host that is cut off in the middle of a study costs nothing but time."""
    job = submitted(laptop, study_file, "cut")
    wait_until(lambda: results(storage_root, "cut") >= 4, "the first trials")
    cluster.hosts[2].cut_off()
    assert results(storage_root, "cut") < TRIALS
    delivered(laptop("logs", job, "--follow"), cluster, "cut")
    every_trial_is_there_once(tracking, "cut")
    assert laptop.table("cut")["rows"] == local_rows


def test_restarted_tracking_server_misses_nothing(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, storage_root: Path, study_file: str, local_rows: Any
) -> None:
    """The tracking server restarts in the middle of the study."""
    job = submitted(laptop, study_file, "restart")
    wait_until(lambda: results(storage_root, "restart") >= 4, "the first trials")
    tracking.kill()
    tracking.start()
    delivered(laptop("logs", job, "--follow"), cluster, "restart")
    every_trial_is_there_once(tracking, "restart")
    assert laptop.table("restart")["rows"] == local_rows


def test_resubmitting_resumes_after_the_driver_host_died(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, storage_root: Path, study_file: str, local_rows: Any
) -> None:
    """A study whose driver's host died goes on when it is submitted again."""
    submitted(laptop, study_file, "again")
    wait_until(lambda: results(storage_root, "again") >= 4, "the first trials")
    cluster.hosts[0].stop()
    done = results(storage_root, "again")
    assert done < TRIALS
    cluster.mend()
    ran = laptop("submit", study_file, "--name", "again")
    delivered(ran, cluster, "again")
    placed = PLACED.search(ran.stdout)
    assert placed is not None, ran.stdout
    every_trial_is_there_once(tracking, "again")
    assert laptop.table("again")["rows"] == local_rows

    other = laptop("submit", study_file, "--name", "again", "--set", "train.epochs=3")
    assert other.returncode == 2
    assert "was started with another study file (it differs in train)" in other.stdout


def test_storage_unseen_by_a_host_is_one_line(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, storage_root: Path, study_file: str
) -> None:
    """Storage that a host does not see is refused in one line, and nothing is left behind."""
    blind = cluster.hosts[2]
    blind.stop()
    cluster.wait_until_missed(blind)
    cluster.start_on(blind, unseen=storage_root)
    cluster.wait_for_all()
    try:
        ran = laptop("submit", study_file, "--name", "unseen")
    finally:
        blind.stop()
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1].startswith(f"node {blind.address}: {storage_root / 'studies' / 'unseen'}")
    assert "Traceback" not in ran.stdout
    assert not (storage_root / "studies" / "unseen").exists()
    assert tracking.runs("unseen", "study") == []


def test_a_job_is_listed_and_stopped_in_order(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, storage_root: Path, study_file: str
) -> None:
    # Small batches make epochs long, so that the tracking server has taken nearly all of them when the job is stopped.
    endless = ["--set", "train.epochs=100000", "--set", "train.batch_size=2"]
    job = submitted(laptop, study_file, "endless", *endless)
    wait_until(lambda: any((storage_root / "studies/endless/trials").glob("*/checkpoint.pt")), "a checkpoint")
    listed = {each["id"]: each for each in json.loads(laptop("jobs", "--json").stdout)}
    assert (listed[job]["study"], listed[job]["status"]) == ("endless", "running")
    taken = laptop("submit", study_file, "--name", "endless", *endless)
    assert taken.returncode == 2
    assert "another process runs study" in taken.stdout
    assert laptop("stop", job).returncode == 0
    followed = laptop("logs", job, "--follow")
    assert followed.returncode == 130
    assert [run.info.status for run in tracking.runs("endless", "study")] == ["KILLED"]
    assert "noisy-study resume" not in followed.stderr
    assert "to resume its study, submit it again" in followed.stderr
    assert laptop("stop", job).stderr.strip() == f"job {job} has ended already"


def test_resubmitting_resumes_a_stopped_job(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, storage_root: Path, study_file: str, local_rows: Any
) -> None:
    """A study whose job was stopped goes on when it is submitted again."""
    job = submitted(laptop, study_file, "stopped")
    wait_until(lambda: results(storage_root, "stopped") >= 4, "the first trials")
    assert laptop("stop", job).returncode == 0
    assert laptop("logs", job, "--follow").returncode == 130
    assert results(storage_root, "stopped") < TRIALS
    delivered(laptop("submit", study_file, "--name", "stopped"), cluster, "stopped")
    every_trial_is_there_once(tracking, "stopped")
    assert laptop.table("stopped")["rows"] == local_rows


def test_an_extension_killed_with_its_host_is_finished(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, storage_root: Path, study_file: str, local_rows: Any
) -> None:
    """Two seeds and three arms become the whole study. The host of the extension's driver dies meanwhile."""
    small = ["--set", "seeds=[0, 1]", "--set", "arms.0.sigma=[0.1, 0.2, 0.3]"]
    delivered(laptop("submit", study_file, "--name", "grows", *small), cluster, "grows")
    first = results(storage_root, "grows")
    assert first == 2 * 4
    refused = laptop("submit", study_file, "--name", "grows")
    assert refused.returncode == 2
    assert "extend the study with --extend" in refused.stdout
    submitted(laptop, study_file, "grows", "--extend")
    wait_until(lambda: results(storage_root, "grows") >= first + 3, "the first trials of the extension")
    cluster.hosts[0].stop()
    assert results(storage_root, "grows") < TRIALS
    cluster.mend()
    delivered(laptop("submit", study_file, "--name", "grows", "--extend"), cluster, "grows")
    every_trial_is_there_once(tracking, "grows")
    assert laptop.table("grows")["rows"] == local_rows


def test_a_driver_on_a_host_joins_the_cluster_by_its_address(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, study_file: str, local_rows: Any
) -> None:
    host = cluster.hosts[1]
    command = [str(BIN / "noisy-study"), "run", study_file, "--name", "joined", "--address", cluster.gcs]
    assert host.start(*command, environment=cluster.environment).wait(timeout=300) == 0, host.output()[-2000:]
    assert laptop.table("joined")["rows"] == local_rows


def test_ray_answers_nobody_without_its_token(cluster: RayCluster, laptop: Laptop, study_file: str) -> None:
    assert requests.get(f"{cluster.url}/api/jobs/", timeout=10).status_code == 401
    wrong = {"Authorization": f"Bearer {'0' * 64}"}
    assert requests.get(f"{cluster.url}/api/jobs/", headers=wrong, timeout=10).status_code == 403
    missing = laptop("submit", study_file, RAY_AUTH_MODE="disabled", RAY_AUTH_TOKEN="")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "requires a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN" in missing.stderr
    refused = laptop("jobs", RAY_AUTH_TOKEN="0" * 64)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "refuses the token" in refused.stderr
    assert refused.stderr.count("\n") == missing.stderr.count("\n") == 1


@pytest.mark.parametrize("access", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0" * 64}], ids=["none", "wrong"])
def test_no_driver_joins_without_the_token(cluster: RayCluster, study_file: str, access: dict[str, str]) -> None:
    host = cluster.hosts[1]
    command = [str(BIN / "noisy-study"), "run", study_file, "--name", "intruder", "--address", cluster.gcs]
    before = len(host.output())
    environment = {name: value for name, value in cluster.environment.items() if name not in access}
    assert host.start(*command, environment={**environment, **access}).wait(timeout=300) == 2
    said = host.output()[before:]
    assert f"cannot reach Ray at {cluster.gcs}: the cluster requires a token; set RAY_AUTH_MODE=token" in said
    assert said.count("\n") == 1


def test_mlflow_answers_nobody_without_its_password(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer
) -> None:
    search = f"{tracking.uri}/api/2.0/mlflow/experiments/search"
    assert requests.post(search, json={"max_results": 1}, timeout=10).status_code == 401
    assert requests.post(search, json={"max_results": 1}, auth=("ada", "guessed"), timeout=10).status_code == 401
    refused = laptop("table", "spread", MLFLOW_TRACKING_PASSWORD="guessed")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


def test_a_job_of_no_such_id_is_one_line(laptop: Laptop) -> None:
    refused = laptop("logs", "absent")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "no job absent at http://" in refused.stderr


def test_no_secret_is_in_a_job_or_on_a_command_line(
    cluster: RayCluster, laptop: Laptop, tracking: TrackingServer, study_file: str
) -> None:
    job = submitted(laptop, study_file, "secret", "--set", "train.epochs=100000")
    answer = requests.get(
        f"{cluster.url}/api/jobs/{job}", headers={"Authorization": f"Bearer {cluster.token}"}, timeout=10
    )
    arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert laptop("stop", job).returncode == 0
    for secret in (tracking.password, tracking.admin_password, cluster.token):
        assert secret not in answer.text
        assert secret not in arguments
