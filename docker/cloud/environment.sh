# The environment of Ray and its drivers on the head node of a cluster of virtual machines. It is sourced in the container,
# before `ray start`. The addresses are the head node's own: drivers run there, and nothing else talks to MLflow and
# PostgreSQL. Passwords of administrators are left out.
. /srv/stack/cloud/worker.sh
set -a
MLFLOW_TRACKING_URI=http://127.0.0.1:5000
MLFLOW_TRACKING_USERNAME=study
MLFLOW_TRACKING_PASSWORD=$MLFLOW_STUDY_PASSWORD
OPTUNA_STORAGE=postgresql+psycopg://study@127.0.0.1/optuna
PGPASSWORD=$STUDY_DATABASE_PASSWORD
set +a
unset POSTGRES_PASSWORD MLFLOW_DATABASE_PASSWORD STUDY_DATABASE_PASSWORD
unset MLFLOW_ADMIN_PASSWORD MLFLOW_STUDY_PASSWORD MLFLOW_SECRET_KEY
