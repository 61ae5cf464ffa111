"""The page and its files."""

from __future__ import annotations


async def test_the_page_and_its_assets_are_served(http, base_url):
    """The page is at the root, asked again each time, under a strict policy."""
    page = await http.get(f"{base_url}/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    assert "x-frame-options" not in page.headers
    assert (await http.get(f"{base_url}/static/main.js")).status_code == 200
