"""The pages that the gate answers with itself: plain HTML or JSON, written here so that nothing has to be found."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

Headers = list[tuple[str, str]]

#: What keeps a page of Stoa's to itself, on the origin where hosted code runs.
SECURE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Stoa</title>
<link rel="stylesheet" href="/-/static/front.css">
</head>
<body>
<main>
{code}<h1>{title}</h1>
{parts}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Page:
    """What a page says: paragraphs, and links as (words, address). ``form`` is (words, address) of a button."""

    status: int
    title: str
    words: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()
    form: tuple[str, str] | None = None
    headers: Sequence[tuple[str, str]] = field(default=())


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: Headers
    body: bytes = b""


def answer(page: Page, accept: str) -> Answer:
    """Return a page as the client wants it."""
    if "json" in accept and "text/html" not in accept:
        content, kind = json.dumps({"error": page.title, "detail": " ".join(page.words)}) + "\n", "application/json"
    else:
        content, kind = as_html(page), "text/html; charset=utf-8"
    body = content.encode()
    pairs = [*SECURE.items(), ("Content-Type", kind), ("Content-Length", str(len(body))), *page.headers]
    return Answer(page.status, pairs, body)


def as_html(page: Page) -> str:
    """Return the page as HTML; whatever it says is escaped."""
    parts = [f"<p>{html.escape(words)}</p>" for words in page.words]
    parts += [f'<p><a href="{html.escape(to)}">{html.escape(words)}</a></p>' for words, to in page.links]
    if page.form:
        words, to = page.form
        parts.append(f'<form method="post" action="{html.escape(to)}"><button>{html.escape(words)}</button></form>')
    code = f'<p class="code">{page.status}</p>\n' if page.status >= 400 else ""
    return PAGE.format(title=html.escape(page.title), code=code, parts="\n".join(parts))


def redirect(status: int, location: str, cookies: Sequence[str] = ()) -> Answer:
    """Return a redirect that sets cookies."""
    pairs = [
        ("Location", location),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Length", "0"),
    ]
    return Answer(status, [*pairs, *(("Set-Cookie", cookie) for cookie in cookies)])
