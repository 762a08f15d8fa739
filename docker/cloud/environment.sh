# The environment of Ray and its drivers on a cluster of virtual machines. It is sourced in the containers, before `ray start`.
# The addresses are the head node's own: drivers run there, and nothing else talks to MLflow and PostgreSQL.
set -a
. /srv/stack/.env
RAY_AUTH_MODE=token
MLFLOW_TRACKING_URI=http://127.0.0.1:5000
MLFLOW_TRACKING_USERNAME=admin
MLFLOW_TRACKING_PASSWORD=$MLFLOW_ADMIN_PASSWORD
OPTUNA_STORAGE=postgresql+psycopg://study@127.0.0.1/optuna
PGPASSWORD=$POSTGRES_PASSWORD
NOISY_STUDY_ROOT=/srv/study
NOISY_STUDY_DATA=/srv/data
set +a
