# The environment of Ray on a worker of a cluster of virtual machines. It is sourced in the container, before `ray start`.
# A worker's file of secrets has the token of the Ray cluster, and nothing else.
set -a
. /srv/secrets/env
RAY_AUTH_MODE=token
NOISY_STUDY_ROOT=/srv/study
NOISY_STUDY_DATA=/srv/data
set +a
