"""The page of the players inside the notebook, and links to it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from urllib.parse import urlencode

import ipywidgets as widgets

from cockpit.host.jupyter_proxy import Way

LINKED = 3  # people with a link of their own
CLOSED = '<div class="cockpit-card">Everything was stopped. Run the first cell to start again.</div>'


class PageFrame:
    """`widget` frames the page of the session, `height` pixels high, and `links` open it in new tabs.

    `way` leads from the browser to the page; `people` are (name, id) pairs. The pages get the `admin_token`, and the
    `player_secret` with which the notebook plays, in the fragment of their address, which no browser sends to a
    server, and take them out of there.
    """

    def __init__(
        self,
        way: Way,
        session: str,
        people: Sequence[tuple[str, str]],
        height: int,
        admin_token: str = "",
        player_secret: str = "",
    ) -> None:
        self._way = way
        self._session = session
        self._height = height
        given = {name: value for name, value in (("admin", admin_token), ("secret", player_secret)) if value}
        self._fragment = f"#{urlencode(given)}" if given else ""
        self.widget = widgets.HTML(layout={"flex": "1.7 1 0", "min_width": "0", "min_height": f"{height}px"})
        self.links = widgets.HTML(self._addresses(people[:LINKED]))

    def show(self, user: str | None) -> None:
        """Let the framed page play as `user`, or only watch with None."""
        self.widget.value = self._frames(user)

    def close(self) -> None:
        """Say that there is no page any more, and what to do."""
        self.widget.layout.min_height = None
        self.widget.value = CLOSED
        self.links.value = ""

    def _address(self, **query: str | None) -> str:
        known = {"session": self._session} | {key: value for key, value in query.items() if value is not None}
        return f"{self._way.base}?{urlencode(known)}{self._fragment}"

    def _frames(self, user: str | None) -> str:
        if not self._way.framed:
            return f'<div class="cockpit-card">{self._link_and_note(user)}</div>'
        # One frame per theme; the hidden one is lazy and is never loaded, so it is no second client.
        frames = "".join(
            f'<iframe class="cockpit-frame cockpit-{theme}" loading="lazy" height="{self._height}" '
            f'title="Leaderboard" src="{self._address(view="embed", user=user, theme=theme)}"></iframe>'
            for theme in ("light", "dark")
        )
        # A browser shows what an object contains only where it cannot load, or may not frame, the object's file: where
        # the frame stays blank.
        return (
            f'{frames}<div class="cockpit-unreached"><object data="{self._way.base}static/icon.svg" '
            f'type="image/svg+xml" width="0" height="0" role="presentation">{self._link_and_note(user)}</object></div>'
        )

    def _link_and_note(self, user: str | None) -> str:
        address, note = self._address(user=user), html.escape(self._way.note)
        shown = html.escape(address.removesuffix(self._fragment))  # a projector shows no token
        link = f'<div class="cockpit-caption"><a href="{html.escape(address)}" target="_blank">{shown}</a></div>'
        return f'{link}<div class="cockpit-note">{note}</div>'

    def _addresses(self, people: Sequence[tuple[str, str]]) -> str:
        links = "".join(f' <a href="{self._address(user=user)}" target="_blank">{name}</a>' for name, user in people)
        board = f'<a href="{self._address(view="board")}" target="_blank">big screen</a>'
        return f'<div class="cockpit-strip"><span>new tab:{links} · {board}</span></div>'
