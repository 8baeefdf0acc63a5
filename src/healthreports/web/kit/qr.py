"""QR codes for pages, drawn by the library `segno`."""

import segno
from markupsafe import Markup


def qr_code(text: str) -> Markup:
    """The QR code of `text` as an SVG element, dark on a light background in both themes."""
    return Markup(  # noqa: S704  the library writes only numbers
        segno.make(text, micro=False).svg_inline(scale=4, border=2, light="#fff", omitsize=True)
    )
