"""Debian's Chromium, driven by Playwright, and what it asked of whom.

The tests that want it are skipped where it is not installed (`make browser` installs it).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium")
QUIET = (
    "--no-sandbox",  # root has none, and everything that is opened is ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: `make browser` installs it")


@dataclass
class Recorder:
    """What a page asked for and complained of.

    Attributes:
        hosts: host and port of every request; the scheme of one that has none.
        errors: what its console was told as an error, with the address of whoever told it; exceptions too.
    """

    hosts: set[str] = field(default_factory=set)
    errors: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Browser:
    """A page, and the hosts and errors that were recorded."""

    page: Page
    recorder: Recorder


@contextmanager
def browser(**options: Any) -> Iterator[Browser]:
    """A page of a browser without a past; `options` are Playwright's for a context (viewport, color_scheme)."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        recorder = Recorder()
        context.on("request", lambda request: recorder.hosts.add(_host(request.url)))
        context.on(
            "console",
            lambda said: recorder.errors.append((said.location["url"], said.text)) if said.type == "error" else None,
        )
        context.on(
            "weberror", lambda error: recorder.errors.append((error.page.url if error.page else "", str(error.error)))
        )
        try:
            yield Browser(context.new_page(), recorder)
        finally:
            chromium.close()


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc or parts.scheme
