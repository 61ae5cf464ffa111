"""Font families under which the page's layout is tested: a browser that has one of them and no other."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Browser

FAMILIES = {"DejaVu Sans": "fonts-dejavu-core", "Liberation Sans": "fonts-liberation"}  # Debian's package of each
EMOJI = "Noto Color Emoji"

_FONTCONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>/usr/local/share/fonts</dir>
  <dir prefix="xdg">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <selectfont>
    <acceptfont>
      <pattern><patelt name="family"><string>{family}</string></patelt></pattern>
      <pattern><patelt name="family"><string>{emoji}</string></patelt></pattern>
    </acceptfont>
    <rejectfont>
      <pattern><patelt name="scalable"><bool>true</bool></patelt></pattern>
      <pattern><patelt name="scalable"><bool>false</bool></patelt></pattern>
    </rejectfont>
  </selectfont>
  <alias><family>sans-serif</family><prefer><family>{family}</family></prefer></alias>
</fontconfig>
"""


def only(family: str, folder: Path) -> dict[str, str]:
    """The environment in which a program finds no text font but `family`; its configuration is put into `folder`."""
    file = folder / "fonts.conf"
    file.write_text(_FONTCONFIG.format(family=family, emoji=EMOJI), encoding="utf-8")
    return {"FONTCONFIG_FILE": str(file)}


async def sans_serif(browser: Browser) -> list[str]:
    """The families in which the browser draws sans-serif text."""
    page = await browser.new_page()
    await page.set_content('<p style="font-family: sans-serif">Charlie</p>')
    tools = await page.context.new_cdp_session(page)
    await tools.send("DOM.enable")
    await tools.send("CSS.enable")
    root = (await tools.send("DOM.getDocument"))["root"]["nodeId"]
    node = (await tools.send("DOM.querySelector", {"nodeId": root, "selector": "p"}))["nodeId"]
    fonts = (await tools.send("CSS.getPlatformFontsForNode", {"nodeId": node}))["fonts"]
    await page.close()
    return [font["familyName"] for font in fonts]
