#!/usr/bin/env bash
# Shows that the image works and that the stack comes up:
#   1. builds the image,
#   2. runs the recipe `quickstart` in it, as its user, who is not root,
#   3. starts every service of compose.yaml by its own command line, in the order the file gives, until its health
#      check passes; then the one-shot service `study`; and asks MLflow and Ray without password and token.
#
# Takes docker where an engine answers, else buildah (as root; with `make setup` done, whose environment reads the
# compose file). Where no registry can be reached, docker/smoke/stand-in-images.sh makes what the images begin with.
#
#   BUILD_OPTIONS   more options for the build, for instance "--build-arg PIP_INDEX_URL=https://a.mirror/simple"
#   SKIP_BUILD=1    takes the image that is there
set -euo pipefail
cd "$(dirname "$0")/.."
export IMAGE=localhost/noisy-teacher-study:smoke BUILDAH_ISOLATION=chroot
work=$(mktemp -d)
container=

if docker info > /dev/null 2>&1; then engine=docker; else engine=buildah; fi
step() { printf '\n== %s\n' "$*"; }

# Throw-away secrets: an example file is no place for any that work.
cat > "$work/env" <<EOF
MLFLOW_DATABASE_PASSWORD=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
STUDY_DATABASE_PASSWORD=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
MLFLOW_STUDY_PASSWORD=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
POSTGRES_PASSWORD=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
MLFLOW_ADMIN_PASSWORD=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
MLFLOW_SECRET_KEY=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
RAY_AUTH_TOKEN=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
RAY_WORKER_CPUS=1
STUDY_IMAGE=$IMAGE
EOF
# The stand-ins of stand-in-images.sh have no digest.
if [ "$engine" = buildah ]; then echo "POSTGRES_IMAGE=docker.io/library/postgres:17-bookworm" >> "$work/env"; fi

compose() { docker compose --env-file "$work/env" --file docker/compose.yaml --project-name noisy-study-smoke "$@"; }

finish() {
    if [ "$engine" = docker ]; then compose --profile study down --volumes > /dev/null 2>&1 || true; fi
    if [ -n "$container" ]; then buildah rm "$container" > /dev/null; fi
    rm -rf "$work"
}
trap finish EXIT

step "the image, with $engine"
build=(--file docker/Dockerfile --build-arg "REVISION=$(git rev-parse HEAD 2> /dev/null || true)" --tag "$IMAGE")
if [ -z "${SKIP_BUILD:-}" ]; then
    # shellcheck disable=SC2206 # several options, by design of the variable
    build+=(${BUILD_OPTIONS:-})
    if [ "$engine" = docker ]; then docker build "${build[@]}" . > "$work/build.log" 2>&1
    else buildah bud --layers --format docker --pull-never \
        --build-arg PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm "${build[@]}" . > "$work/build.log" 2>&1; fi ||
        { tail -n 40 "$work/build.log"; exit 1; }
fi

inside='echo "user: $(id -un), uid $(id -u)"; test "$(id -u)" -ne 0
for tool in gcc make git; do ! command -v $tool || exit 1; done; echo "no gcc, make or git"
noisy-study run quickstart 2> run.log || { tail -n 20 run.log; exit 1; }'
step "quickstart in it"
if [ "$engine" = docker ]; then
    docker run --rm --shm-size 2g "$IMAGE" sh -ec "$inside"
else
    container=$(buildah from --pull-never "$IMAGE")
    buildah run "$container" -- sh -ec "$inside"
fi

step "the services of compose.yaml"
if [ "$engine" = docker ]; then
    compose up --detach --wait --scale ray-worker=2
    compose ps
    compose run --rm study
    for url in http://mlflow:5000/api/2.0/mlflow/experiments/search?max_results=1 http://ray-head:8265/api/jobs/; do
        { compose run --rm study wget --server-response --tries=1 -O /dev/null "$url" 2>&1 || true; } | grep '401 '
    done
else
    .venv/bin/podman-compose --dry-run --env-file "$work/env" --file docker/compose.yaml --profile study config > "$work/compose.yaml"
    .venv/bin/python docker/smoke/services.py "$work/compose.yaml" --scale ray-worker=2
fi
step "passed"
