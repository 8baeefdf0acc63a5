"""The OpenAPI document of the server, and a page to browse it that needs no other host."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from healthreports.contract.openapi import document_bytes
from healthreports.edge.answer import Answer, Static
from healthreports.edge.rooted import at_root

DOCUMENT_PATH: Final = "/openapi.json"

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>healthreports API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<p style="margin: 16px 20px; font: 14px sans-serif">
<a href="/developers">Back to healthreports</a></p>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = (
    "SwaggerUIBundle({url: '%s', dom_id: '#swagger-ui', "
    "deepLinking: true, tryItOutEnabled: true, validatorUrl: null});\n"
)
# Swagger UI sets styles in its script, and its icons are data: URLs.
_POLICY: Final = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
}
# Swagger UI, vendored with its licence: the packaged copies of it are too old for OpenAPI 3.1.
_VENDORED: Final = Path(__file__).parent / "vendor" / "swagger-ui-5.35.0"
_FILES: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
}


def docs_routes(root: str = "") -> list[BaseRoute]:
    """The routes of the document, of the page that shows it, and of the files that it loads.

    The server is below the path `root` of its host.
    """
    document = document_bytes(root)
    makers: dict[str, Callable[[], ASGIApp]] = {
        DOCUMENT_PATH: lambda: Answer(document),
        "/docs": lambda: HTMLResponse(at_root(_PAGE), headers=_POLICY),
        "/docs/start.js": lambda: Response(
            _START % (root + DOCUMENT_PATH), media_type="text/javascript"
        ),
    }
    for name, media_type in _FILES.items():
        makers[f"/docs/{name}"] = _file(_VENDORED / name, media_type)
    return [Route(path, Static(make)) for path, make in makers.items()]


def _file(path: Path, media_type: str) -> Callable[[], ASGIApp]:
    return lambda: FileResponse(path, media_type=media_type)
