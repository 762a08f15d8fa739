"""The applications that `noisy-study ui` and the clusters' tracking servers let MLflow's server run.

Works on MLflow's own applications. `pyproject.toml` declares both functions in the group `mlflow.app`, so that
`mlflow server --app-name NAME` finds them. The process of the server calls one of them once.
"""

from study import environment
from study.tracking.address import DEFAULT_URI
from study.tracking.ui_door import App, Door
from study.tracking.ui_places import keep_to_store

USER = "study"
"""The user of MLflow as whom studies log in. It administers nothing."""


def with_token() -> App:
    """MLflow behind the token of `NOISY_STUDY_UI_TOKEN`. Without that variable everybody is let in."""
    keep_to_store(environment.backend_store() or DEFAULT_URI)
    from mlflow.server.fastapi_app import app

    return Door(app, environment.ui_token())


def with_login() -> App:
    """MLflow with its own login. With `NOISY_STUDY_USER_PASSWORD` there is a user `study` of that password."""
    keep_to_store(environment.backend_store() or DEFAULT_URI)
    from mlflow.server.auth import create_app

    app: App = create_app()
    if (password := environment.user_password()) is not None:
        _keep_user(password)
    return app


def _keep_user(password: str) -> None:
    """Make the user `study`, or give it the password of now. A user of that name stops being an administrator."""
    from mlflow.server.auth import store

    if store.has_user(USER):
        store.update_user(USER, password=password, is_admin=False)
    else:
        store.create_user(USER, password)
