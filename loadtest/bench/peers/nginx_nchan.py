"""nginx with nchan: one worker, and this program as the publisher that a real site would have elsewhere."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from loadtest.bench.peers.peer_contract import announce, boards
from loadtest.target.ports import free_port, is_served
from loadtest.target.processes import WatchedCommand

MODULE_FOLDERS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/nginx/modules")

CONFIGURATION = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
error_log stderr crit;
pid {folder}/pid;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{ nchan_publisher http; nchan_channel_id board; nchan_store_messages off; }}
    location = /ws {{ nchan_subscriber websocket; nchan_channel_id board; nchan_subscriber_first_message newest; }}
  }}
}}
"""


def module() -> str | None:
    """The nchan module of this machine's nginx, or None."""
    found = (Path(folder) / "ngx_nchan_module.so" for folder in MODULE_FOLDERS)
    return next((str(path) for path in found if path.exists()), None)


def program() -> str | None:
    """This machine's nginx, or None."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


async def publish(port: int) -> None:
    """Publish until the orders end."""
    # Not httpx, which takes three times the CPU: this runs on nginx's core, and would count against its latency.
    publisher = http.client.HTTPConnection("127.0.0.1", port)
    async for board in boards():
        text = json.dumps({"type": "leaderboard-update", "data": board}, separators=(",", ":"), ensure_ascii=False)
        publisher.request("POST", "/publish", text.encode())
        publisher.getresponse().read()


def main() -> int:
    """Start nginx, publish, and end it again."""
    path, command = module(), program()
    if path is None or command is None:
        sys.stderr.write("nginx or its nchan module is not on this machine\n")
        return 1
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nginx.conf"
        file.write_text(CONFIGURATION.format(module=path, folder=folder, port=port), encoding="utf-8")
        with WatchedCommand("nginx", [command, "-p", folder, "-c", str(file)]) as nginx:
            while not is_served(port):
                if not nginx.alive:
                    sys.stderr.write("\n".join(nginx.log) + "\n")
                    return 1
                time.sleep(0.02)
            announce(port, nginx.pid)
            asyncio.run(publish(port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
