#!/bin/sh
# What stands in for the entrypoint of the official postgres image: see stand-in-images.sh.
set -eu
POSTGRES_USER=${POSTGRES_USER:-postgres}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(mktemp)
    printf '%s' "$POSTGRES_PASSWORD" > "$password"
    # shellcheck disable=SC2086 # several options, by design of the variable
    initdb --locale=C.UTF-8 --username="$POSTGRES_USER" --pwfile="$password" ${POSTGRES_INITDB_ARGS:-} > /dev/null
    rm "$password"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    # On its socket alone, so that nobody takes it for ready.
    pg_ctl --wait --options="-c listen_addresses='' -k /tmp" start > /dev/null
    if [ "$POSTGRES_USER" != postgres ]; then createdb --host=/tmp --username="$POSTGRES_USER" "$POSTGRES_USER"; fi
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql --quiet --host=/tmp --username="$POSTGRES_USER" --file="$script"
    done
    pg_ctl --wait stop > /dev/null
fi
exec "$@" -c listen_addresses='*' -k /tmp
