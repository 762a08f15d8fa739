"""Ray's cluster launcher, Kubernetes and KubeRay take the cloud files, which say the same as the compose file."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from support.docker_files import CLOUD, DOCKER, ROOT, load, secrets

from study.lookup import study_of

LAUNCHERS = ["aws", "gcp"]
KUBERNETES_VERSIONS = ["1.31", "1.37"]
MANIFESTS = sorted((CLOUD / "kubernetes").glob("*.yaml"))
OBJECTS: list[dict[str, Any]] = [
    found for file in MANIFESTS for found in yaml.safe_load_all(file.read_text(encoding="utf-8"))
]
RAY_JOB = next(found for found in OBJECTS if found["kind"] == "RayJob")
CLUSTER = RAY_JOB["spec"]["rayClusterSpec"]
STUDY_ENVIRONMENT, WORKER_ENVIRONMENT = (
    {
        name: value
        for name, value in load(DOCKER / "compose.yaml")[f"x-{which}-environment"].items()
        if not name.startswith("RAY_AUTH")
    }
    for which in ("study", "ray")
)


@cache
def launcher(provider: str) -> Any:
    """The file with Ray's defaults filled in, as `ray up` does before it asks the cloud."""
    return prepare_config(load(CLOUD / f"{provider}.yaml"))


def pod_templates() -> list[dict[str, Any]]:
    groups = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]
    own = [found["spec"]["template"] for found in OBJECTS if found["kind"] in ("Deployment", "StatefulSet")]
    return [*own, RAY_JOB["spec"]["submitterPodTemplate"], *(group["template"] for group in groups)]


def strict(schema: Any) -> Any:
    """Kubernetes drops a field it does not know; here it is a mistake."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(part) for name, part in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


# ----------------------------------------------------------------------------------------------- Ray's cluster launcher


@pytest.mark.parametrize("provider", LAUNCHERS)
def test_the_cluster_launcher_takes_the_file(provider: str) -> None:
    validate_config(launcher(provider))


@pytest.mark.parametrize("provider", LAUNCHERS)
def test_the_cluster_launcher_refuses_a_key_it_does_not_know(provider: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match="max_wrkers"):
        validate_config({**launcher(provider), "max_wrkers": 4})


@pytest.mark.parametrize("provider", LAUNCHERS)
def test_workers_come_and_go_and_the_head_stays(provider: str) -> None:
    types = launcher(provider)["available_node_types"]
    head, worker = types["head"], types["gpu"]
    assert (worker["min_workers"], worker["max_workers"]) == (0, 4)
    assert head["resources"]["CPU"] == 0
    says_spot = {"aws": "InstanceMarketOptions", "gcp": "scheduling"}[provider]
    assert "spot" in str(worker["node_config"][says_spot]).lower()
    assert says_spot not in head["node_config"]


@pytest.mark.parametrize("provider", LAUNCHERS)
def test_nothing_is_installed_in_the_containers(provider: str) -> None:
    config = launcher(provider)
    assert [config[f"{which}setup_commands"] for which in ("", "head_", "worker_")] == [[], [], []]


def test_both_clouds_start_the_same() -> None:
    for key in ("head_start_ray_commands", "worker_start_ray_commands", "file_mounts", "upscaling_speed"):
        assert launcher("aws")[key] == launcher("gcp")[key]


@pytest.mark.parametrize("provider", LAUNCHERS)
def test_the_stack_starts_from_where_the_launcher_puts_its_files(provider: str) -> None:
    config = launcher(provider)
    folder = f"/tmp/ray_tmp_mount/{config['cluster_name']}/srv/stack"
    assert config["file_mounts"].keys() == {"/srv/stack"}
    assert config["initialization_commands"][-1].startswith(f"cd {folder} && ")
    for which, script in (("head", "environment.sh"), ("worker", "worker.sh")):
        assert f". /srv/stack/cloud/{script}" in config[f"{which}_start_ray_commands"][-1]


@pytest.mark.parametrize("provider", LAUNCHERS)
def test_secrets_reach_the_nodes_that_need_them(provider: str) -> None:
    """The launcher copies its files to every node, so the secrets are not among them."""
    config = launcher(provider)
    assert config["rsync_exclude"] == [".env"]
    head, worker = config["initialization_commands"], config["available_node_types"]["gpu"]["initialization_commands"]
    assert [re.findall(r"noisy-teacher-study[/-](stack|token)\b", " ".join(which)) for which in (head, worker)] == [
        ["stack"],
        ["token"],
    ]
    assert "/etc/noisy-teacher-study:/srv/secrets:ro" in " ".join(config["docker"]["run_options"])


@pytest.mark.parametrize("provider", LAUNCHERS)
def test_a_worker_has_an_account_of_its_own(provider: str) -> None:
    types = launcher(provider)["available_node_types"]
    key = {"aws": "IamInstanceProfile", "gcp": "serviceAccounts"}[provider]
    assert "EDIT-head" in str(types["head"]["node_config"][key])
    assert "EDIT-worker" in str(types["gpu"]["node_config"][key])


@pytest.mark.parametrize("provider", LAUNCHERS)
def test_a_container_of_the_launcher_has_no_privileges(provider: str) -> None:
    options = launcher(provider)["docker"]["run_options"]
    assert {"--cap-drop ALL", "--security-opt no-new-privileges:true", "--pids-limit 16384"} <= set(options)


def _environment_of(script: str, secret_file: str, folder: Path) -> dict[str, str]:
    """The variables of a container that has sourced a script."""
    (folder / "env").write_text(secret_file)
    text = (CLOUD / script).read_text(encoding="utf-8").replace("/srv/stack/cloud", str(folder))
    (folder / "worker.sh").write_text((CLOUD / "worker.sh").read_text().replace("/srv/secrets", str(folder)))
    (folder / "script").write_text(text.replace("/srv/secrets", str(folder)))
    command = ["sh", "-ec", f". {folder}/script && env --null"]
    ran = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    words = (word.partition("=") for word in ran.stdout.split("\0") if word)
    return {name: value for name, _, value in words if name not in ("PATH", "PWD", "OLDPWD", "SHLVL", "_")}


def test_nodes_have_the_environment_of_the_compose_file(tmp_path: Path) -> None:
    every = "".join(f"{name}=value-of-{name}\n" for name in sorted(secrets()))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "value-of-RAY_AUTH_TOKEN"}
    head = _environment_of("environment.sh", every, tmp_path)
    assert head.keys() == STUDY_ENVIRONMENT.keys() | token.keys()
    assert head["MLFLOW_TRACKING_PASSWORD"] == "value-of-MLFLOW_STUDY_PASSWORD"
    assert head["PGPASSWORD"] == "value-of-STUDY_DATABASE_PASSWORD"
    worker = _environment_of("worker.sh", "RAY_AUTH_TOKEN=value-of-RAY_AUTH_TOKEN\n", tmp_path)
    assert worker == WORKER_ENVIRONMENT | token


# ----------------------------------------------------------------------------------------------------------- Kubernetes


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_takes_every_manifest(version: str) -> None:
    builtin = [found for found in OBJECTS if found["kind"] != "RayJob"]
    assert len(builtin) == 13
    for found in builtin:
        kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_takes_every_pod(version: str) -> None:
    for template in pod_templates():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, version, strict=True)


def test_kuberay_takes_the_job() -> None:
    schema = strict(load(Path(__file__).parent / "kuberay" / "rayjob-v1.json"))
    jsonschema.validate(RAY_JOB, schema)


def test_kuberays_schema_refuses_a_field_it_does_not_know() -> None:
    schema = strict(load(Path(__file__).parent / "kuberay" / "rayjob-v1.json"))
    wrong = json.loads(json.dumps(RAY_JOB))
    wrong["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 4
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(wrong, schema)


def test_no_secret_is_written_and_every_password_refers_to_one() -> None:
    assert "Secret" not in {found["kind"] for found in OBJECTS}
    for template in pod_templates():
        for container in template["spec"]["containers"]:
            for variable in container.get("env", []):
                if "value" in variable:
                    assert not any(word in variable["name"] for word in ("PASSWORD", "SECRET", "TOKEN"))
                else:
                    reference = variable["valueFrom"]["secretKeyRef"]
                    assert reference["name"] == "noisy-teacher-study"
                    assert reference["key"] in secrets()


def test_no_pod_runs_as_root_or_may_become_it() -> None:
    for template in pod_templates():
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        assert template["spec"]["securityContext"]["runAsUser"] > 0
        for container in template["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert {"/tmp"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


def test_only_the_autoscaler_has_a_token_of_kubernetes() -> None:
    assert [template["spec"]["automountServiceAccountToken"] for template in pod_templates()] == [False] * 5
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert [mount["mountPath"] for mount in CLUSTER["autoscalerOptions"]["volumeMounts"]] == [folder]
    for template in pod_templates():
        for container in template["spec"]["containers"]:
            assert folder not in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_each_pod_has_the_secrets_that_it_needs() -> None:
    given = {
        container["name"]: {
            variable["valueFrom"]["secretKeyRef"]["key"]
            for variable in container.get("env", [])
            if "valueFrom" in variable
        }
        for template in pod_templates()
        for container in template["spec"]["containers"]
    }
    assert given == {
        "postgres": {"POSTGRES_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "STUDY_DATABASE_PASSWORD"},
        "mlflow": {"MLFLOW_DATABASE_PASSWORD", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_STUDY_PASSWORD", "MLFLOW_SECRET_KEY"},
        "ray-head": {"STUDY_DATABASE_PASSWORD", "MLFLOW_STUDY_PASSWORD"},
        "ray-worker": set(),
        "ray-job-submitter": set(),
    }


def test_every_image_of_kubernetes_is_named_by_digest() -> None:
    images = [container["image"] for template in pod_templates() for container in template["spec"]["containers"]]
    assert all(re.search(r"@sha256:([0-9a-f]{64}|EDIT)$", image) for image in images)


def test_nobody_connects_to_a_pod_but_by_a_policy() -> None:
    policies = {found["metadata"]["name"]: found["spec"] for found in OBJECTS if found["kind"] == "NetworkPolicy"}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    head = {"podSelector": {"matchLabels": {"ray.io/node-type": "head"}}}
    mlflow = {"podSelector": {"matchLabels": {"app": "mlflow"}}}
    assert [rule["from"] for rule in policies["postgres"]["ingress"]] == [[mlflow, head]]
    assert [rule["from"] for rule in policies["mlflow"]["ingress"]] == [[head]]
    assert policies["ray-workers"]["policyTypes"] == ["Egress"]
    allowed = str(policies["ray-workers"]["egress"])
    assert "postgres" not in allowed
    assert "mlflow" not in allowed
    assert "ipBlock" not in allowed


def test_the_job_wants_a_token_and_grows_with_its_study() -> None:
    assert CLUSTER["authOptions"] == {"mode": "token", "secretName": "noisy-teacher-study-token"}
    assert CLUSTER["enableInTreeAutoscaling"] is True
    worker = CLUSTER["workerGroupSpecs"][0]
    assert (worker["minReplicas"], worker["maxReplicas"]) == (0, 4)
    settings = re.findall(r"--set (\S+)", RAY_JOB["spec"]["entrypoint"])
    config = study_of("quickstart", settings)
    (container,) = worker["template"]["spec"]["containers"]
    gpus = worker["maxReplicas"] * int(container["resources"]["limits"]["nvidia.com/gpu"])
    processes = gpus / config.resources.gpus_per_trial
    assert config.resources.workers == processes * config.resources.students_per_gpu


def test_the_job_names_the_version_of_ray_in_its_image() -> None:
    assert f"ray=={CLUSTER['rayVersion']}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_pods_are_told_what_the_compose_file_tells_them() -> None:
    workers = [(group, WORKER_ENVIRONMENT) for group in CLUSTER["workerGroupSpecs"]]
    for group, expected in ((CLUSTER["headGroupSpec"], STUDY_ENVIRONMENT), *workers):
        told = {
            variable["name"]: variable.get("value") for variable in group["template"]["spec"]["containers"][0]["env"]
        }
        assert told.keys() == expected.keys()
        assert all(expected[name] == value for name, value in told.items() if value is not None)


def test_mlflow_starts_as_in_the_compose_file() -> None:
    compose = load(DOCKER / "compose.yaml")["services"]["mlflow"]["command"]
    pod = next(found for found in OBJECTS if found["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    defaults = [re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", argument) for argument in compose]
    assert pod["command"] == defaults
