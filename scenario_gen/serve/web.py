"""The small page at ``/``: its files, and what a browser may do with them.

Owns routes and policies, and knows no job: the page asks the same endpoints as any other client, with the same key.
The page loads scripts and styles from this server alone and runs none that stand in markup. A report has a room of
its own, ``/web/frame``: a sandbox without an origin, so that nothing in a report can ask the server or read the key.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, HTTPException, Response

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A report's own policy, in its head, names the hashes of its scripts and its style; this one holds beside it.
FRAME_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
KINDS = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "frame.js": "text/javascript; charset=utf-8",
}
COLOURS_END = "/* Frame */"  # in the report's style: what stands before are the colours, which the page shares


def router() -> APIRouter:
    """Return the routes of the page, for the app to include; none of them needs a key or tells a secret."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def page() -> Response:
        return answer("page.html", "text/html; charset=utf-8", PAGE_POLICY)

    @routes.get("/web/frame")
    def frame() -> Response:
        return answer("frame.html", "text/html; charset=utf-8", FRAME_POLICY)

    @routes.get("/web/{name}")
    def file(name: str) -> Response:
        if name not in KINDS:
            raise HTTPException(404, "the page has no such file")
        return answer(name, KINDS[name], "default-src 'none'")

    return routes


def answer(name: str, kind: str, policy: str) -> Response:
    """Return a file of the page with the headers that hold a browser to its policy."""
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        # the frame has no origin, so that to a browser its script is another site's
        "Cross-Origin-Resource-Policy": "cross-origin" if name == "frame.js" else "same-origin",
    }
    return Response(content(name), media_type=kind, headers=headers)


def content(name: str) -> str:
    """Return the text of a file of the page; its style begins with the colours of the report."""
    text = (files("scenario_gen.serve") / "templates" / name).read_text(encoding="utf-8")
    if name != "page.css":
        return text
    style = (files("scenario_gen.report") / "templates" / "style.css").read_text(encoding="utf-8")
    return style[: style.index(COLOURS_END)] + text
