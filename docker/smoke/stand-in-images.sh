#!/usr/bin/env bash
# Stands in for the two images of Docker Hub that the stack begins with, on a machine that reaches Debian's mirrors and
# no registry. Needs root, buildah and debootstrap.
#
#   python:3.11-slim-bookworm   Debian 12 with Debian's own python3.11, where the official image has its own
#   postgres:17-bookworm        Debian 12 with Debian's own PostgreSQL 15, and an entrypoint that knows what
#                               compose.yaml asks of the official one: a first user, its password, the scripts to run
set -euo pipefail
MIRROR=${MIRROR:-http://deb.debian.org/debian}
export BUILDAH_ISOLATION=chroot
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$MIRROR" > /dev/null
debian=$(buildah from scratch)
buildah add --quiet "$debian" "$root" / > /dev/null

python=$(buildah from scratch)
buildah add --quiet "$python" "$root" / > /dev/null
buildah run "$python" -- sh -c '
    apt-get update && apt-get install --yes --no-install-recommends python3.11 python3.11-venv
    rm -rf /var/lib/apt/lists/*
    for name in python3.11 python3 python; do ln -s /usr/bin/python3.11 /usr/local/bin/$name; done' > /dev/null
buildah commit --quiet --rm --format docker "$python" docker.io/library/python:3.11-slim-bookworm

buildah run "$debian" -- sh -c '
    apt-get update && apt-get install --yes --no-install-recommends postgresql
    rm -rf /var/lib/apt/lists/*
    ln -s /usr/lib/postgresql/15/bin/* /usr/local/bin/
    install --directory --owner postgres /var/lib/postgresql/data /docker-entrypoint-initdb.d' > /dev/null
buildah copy --quiet --chmod 755 "$debian" "$here/postgres-entrypoint.sh" /usr/local/bin/docker-entrypoint.sh > /dev/null
buildah config --user postgres --entrypoint '["docker-entrypoint.sh"]' --env PGDATA=/var/lib/postgresql/data "$debian"
buildah commit --quiet --rm --format docker "$debian" docker.io/library/postgres:17-bookworm
