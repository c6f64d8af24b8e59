"""The page's files: a closed table read once. A request names a row of it, never a path."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "page"
JAVASCRIPT = "text/javascript; charset=utf-8"
STYLE = "text/css; charset=utf-8"
PAGE = "text/html; charset=utf-8"

FILES = {
    "index.html": PAGE,
    "signin.html": PAGE,
    "page.css": STYLE,
    "page.js": JAVASCRIPT,
    "format.js": JAVASCRIPT,
    "dom.js": JAVASCRIPT,
    "hub.js": JAVASCRIPT,
    "charts.js": JAVASCRIPT,
    "tiles.js": JAVASCRIPT,
    "incidents.js": JAVASCRIPT,
    "features.js": JAVASCRIPT,
    "table.js": JAVASCRIPT,
    "parts.js": JAVASCRIPT,
    "outcomes.js": JAVASCRIPT,
    "details.js": JAVASCRIPT,
    "footer.js": JAVASCRIPT,
    "vendor/uPlot.iife.min.js": JAVASCRIPT,
    "vendor/uPlot.min.css": STYLE,
}


class Asset(NamedTuple):
    content: bytes
    media_type: str
    page: bool  # HTML: shown at the prefix itself, not below assets/


def load_assets() -> dict[str, Asset]:
    """File name without folder to asset."""
    return {
        Path(name).name: Asset((FOLDER / name).read_bytes(), media_type, media_type == PAGE)
        for name, media_type in FILES.items()
    }
