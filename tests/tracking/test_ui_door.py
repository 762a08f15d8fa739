"""Who gets through to the UI: who brings the token of its start, and nobody else."""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from study.tracking.ui_door import Door, Message, Receive, Send

TOKEN = "the-token-of-this-start"
COOKIE = f"noisy-study-5000={TOKEN}"


@dataclass
class Behind:
    """The application behind the door. It answers everything, and keeps what reached it."""

    reached: list[Message] = field(default_factory=list)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.reached.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"MLflow"})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


def ask(door: Door, path: str = "/", query: str = "", method: str = "GET", **headers: str) -> Answer:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "server": ("127.0.0.1", 5000),
    }
    asyncio.run(door(scope, receive, send))
    lines = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], lines, sent[1]["body"].decode())


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": COOKIE},
        {"cookie": f"theme=dark; {COOKIE}; other=1"},
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer {TOKEN}"},
        {"authorization": basic(f"anyone:{TOKEN}")},
    ],
)
def test_the_token_lets_a_request_through(headers: dict[str, str]) -> None:
    behind = Behind()
    assert ask(Door(behind, TOKEN), "/api/2.0/mlflow/experiments/search", **headers).body == "MLflow"
    assert len(behind.reached) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"cookie": "noisy-study-5000="},
        {"cookie": f"noisy-study-5001={TOKEN}"},
        {"cookie": f"noisy-study-5000={TOKEN[:-1]}"},
        {"cookie": f"noisy-study-5000=\xe9{TOKEN}"},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": basic(f"{TOKEN}:")},
        {"authorization": "Basic no-base64!"},
        {"authorization": basic("admin:password1234")},
    ],
)
@pytest.mark.parametrize("path", ["/", "/get-artifact", "/health/", "/version", "/static-files/main.js"])
def test_without_the_token_nothing_is_reached(headers: dict[str, str], path: str) -> None:
    behind = Behind()
    answer = ask(Door(behind, TOKEN), path, **headers)
    assert answer.status == 401
    assert "open the link that `noisy-study ui` printed" in answer.body
    assert not behind.reached


def test_a_refused_client_of_mlflow_reads_a_sentence() -> None:
    refused = json.loads(ask(Door(Behind(), TOKEN), "/api/2.0/mlflow/runs/search", method="POST").body)
    assert refused["error_code"] == "PERMISSION_DENIED"
    assert "MLFLOW_TRACKING_TOKEN" in refused["message"]


def test_health_needs_no_token() -> None:
    assert ask(Door(Behind(), TOKEN), "/health").body == "MLflow"


def test_the_link_leaves_a_cookie_and_opens_the_page() -> None:
    behind = Behind()
    answer = ask(Door(behind, TOKEN), "/", f"a=1&token={TOKEN}&b=%2F")
    assert (answer.status, answer.headers["location"]) == (303, "/?a=1&b=%2F")
    assert answer.headers["set-cookie"] == f"{COOKIE}; Path=/; HttpOnly; SameSite=Lax"
    assert not behind.reached


@pytest.mark.parametrize(("path", "location"), [("//evil.example/x", "/evil.example/x"), ("/\\evil", "/evil")])
def test_the_link_leads_nowhere_else(path: str, location: str) -> None:
    assert ask(Door(Behind(), TOKEN), path, f"token={TOKEN}").headers["location"] == location


def test_a_wrong_link_is_refused() -> None:
    assert ask(Door(Behind(), TOKEN), "/", "token=guessed").status == 401


def test_the_token_is_gone_from_the_address_that_is_logged() -> None:
    """The server writes the address of every request to its log after the answer."""
    behind = Behind()
    ask(Door(behind, TOKEN), "/page", "token=wrong&a=1", cookie=COOKIE)
    assert behind.reached[0]["query_string"] == b"a=1"


def test_a_socket_without_the_token_is_closed() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    behind = Behind()
    scope = {"type": "websocket", "path": "/", "query_string": b"", "headers": [], "server": ("127.0.0.1", 5000)}
    asyncio.run(Door(behind, TOKEN)(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert not behind.reached


def test_without_a_login_the_assistant_is_off() -> None:
    """It runs commands as the owner of the server, for everybody on this machine."""
    door = Door(Behind(), None)
    assert ask(door, "/").body == "MLflow"
    assert ask(door, "/ajax-api/3.0/mlflow/assistant/message", method="POST").status == 403
