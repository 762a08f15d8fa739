-- Run once, by the superuser, when the volume is new. MLflow and the studies have a role and databases of their own:
-- neither administers anything, and neither connects to a database of the other.
\set ON_ERROR_STOP on
\getenv mlflow_password MLFLOW_DATABASE_PASSWORD
\getenv study_password STUDY_DATABASE_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE study LOGIN PASSWORD :'study_password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
CREATE DATABASE optuna OWNER study;
REVOKE ALL ON DATABASE mlflow, mlflow_auth, optuna, postgres, template1 FROM PUBLIC;
