"""Decides which requests may reach the UI.

Works on ASGI requests and on one token. Knows nothing of MLflow but the path of its assistant.

A browser brings the token once, in the link that was printed, and gets a cookie. A program sends it as MLflow's clients
do: `MLFLOW_TRACKING_TOKEN` (Bearer) or `MLFLOW_TRACKING_PASSWORD` (Basic, with any user).
"""

import base64
import binascii
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PARAMETER = "token"
"""The name of the token in the printed link."""

HEALTH = "/health"
"""The one path that needs no token. It answers `OK` and nothing else."""

ASSISTANT = "/mlflow/assistant"
"""MLflow's assistant runs commands as the user who started the server, for every request from this machine."""

REFUSED = (
    "This server needs the token of its start. In a browser, open the link that `noisy-study ui` printed. "
    "For a program, set MLFLOW_TRACKING_TOKEN to the content of the file that `noisy-study ui` named."
)
NO_ASSISTANT = "MLflow's assistant is off, because this server asks for no login."


class Door:
    """An ASGI application that passes permitted requests on to another one.

    Args:
        app: the application behind it.
        token: what a request must bring. With None every request is permitted, but those for MLflow's assistant.
    """

    def __init__(self, app: App, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if self._token is None:
            if ASSISTANT in scope["path"]:
                await _refuse(scope, send, 403, NO_ASSISTANT)
            else:
                await self._app(scope, receive, send)
            return
        given = _taken_from_link(scope)
        if given is not None and self._is_token(given) and scope.get("method") in ("GET", "HEAD"):
            await _move_to_cookie(scope, send, self._token)
        elif scope["path"] == HEALTH or any(map(self._is_token, _brought(scope))):
            await self._app(scope, receive, send)
        else:
            await _refuse(scope, send, 401, REFUSED)

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return secrets.compare_digest(given.encode(), self._token.encode())


def _cookie_name(scope: Message) -> str:
    """A browser sends the cookies of an address to all of its ports, so each port has a name of its own."""
    server = scope.get("server") or ("", 0)
    return f"noisy-study-{server[1]}"


def _taken_from_link(scope: Message) -> str | None:
    """The token in the address of a request. It is taken out of the request, so that no access log has it."""
    pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    found = next((value for name, value in pairs if name == PARAMETER), None)
    if found is not None:
        scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != PARAMETER]).encode()
    return found


def _brought(scope: Message) -> list[str]:
    """What a request brings as a cookie, a Bearer token or a Basic password."""
    found = []
    for name, value in scope.get("headers", []):
        text = value.decode("latin-1")
        if name == b"cookie":
            parts = [part.strip().partition("=") for part in text.split(";")]
            found += [content for key, _, content in parts if key == _cookie_name(scope)]
        elif name == b"authorization":
            kind, _, content = text.partition(" ")
            if kind.lower() == "bearer":
                found.append(content.strip())
            elif kind.lower() == "basic":
                found.append(_password(content.strip()))
    return found


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _move_to_cookie(scope: Message, send: Send, token: str) -> None:
    """Answer the printed link: the browser keeps the token as a cookie, and opens the same page without it."""
    query = scope["query_string"].decode("latin-1")
    # One slash: a path of two would be the address of another machine.
    path = "/" + quote(scope["path"].lstrip("/\\"), safe="/:@!$&'()*+,;=~")
    headers = {
        "location": path + (f"?{query}" if query else ""),
        # `Lax`: the link may be clicked on another page, such as a terminal in a browser.
        "set-cookie": f"{_cookie_name(scope)}={token}; Path=/; HttpOnly; SameSite=Lax",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    await _answer(send, 303, headers, b"")


async def _refuse(scope: Message, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    # MLflow's clients read JSON with an error code; a person reads one sentence.
    if "/api/" in scope["path"] or "/ajax-api/" in scope["path"]:
        body, kind = json.dumps({"error_code": "PERMISSION_DENIED", "message": reason}), "application/json"
    else:
        body, kind = f"{reason}\n", "text/plain; charset=utf-8"
    headers = {"content-type": kind, "cache-control": "no-store"}
    await _answer(send, status, headers | ({"www-authenticate": "Bearer"} if status == 401 else {}), body.encode())


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    lines = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
