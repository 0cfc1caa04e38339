"""Open the page for people: upload slices, read classes, probabilities and heatmaps. Research use only.

    lungct ui
    lungct ui --port 8600 --run /tmp/b

It listens on this machine only, keeps uploads in memory until the browser tab is closed, takes slices up to 32 MB and
ZIPs up to 512 MB, and sends no usage statistics. The server must run: `make serve`.
"""

from __future__ import annotations

import os
import sys

from lungct_tools import TOOLS
from lungct_tools.commandline import make_parser, port
from lungct_tools.page.uploads import MAX_TOTAL
from lungct_tools.server.choice import ChoiceError, add_server_options, choose_server, write_environment

PAGE = TOOLS / "page" / "layout.py"
SETTINGS = {
    "server.address": "127.0.0.1",
    "server.headless": "true",
    "server.maxUploadSize": MAX_TOTAL >> 20,
    "server.fileWatcherType": "none",
    "runner.magicEnabled": "false",  # takes a tenth of a second whenever the page is drawn, and we use none
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",  # a traceback could quote a file name
    "client.toolbarMode": "viewer",  # its menu lets a person choose the theme; without a choice it is the system's
    "theme.light.primaryColor": "#0b5cad",
    "theme.light.textColor": "#1b2430",
    "theme.dark.primaryColor": "#5aa2e8",
}
# glibc keeps what it was given back, an arena a thread: a series' files and planes come and go by the hundred.
MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(2**17), "MALLOC_TRIM_THRESHOLD_": str(2**20)}


def make_command(port: int) -> list[str]:
    """The command that serves the page."""
    options = {**SETTINGS, "server.port": port}
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(PAGE), *flags]


def main() -> int:
    parser = make_parser(__doc__)
    add_server_options(parser)
    parser.add_argument("--port", type=port, default=8501, help="port on loopback (default %(default)s)")
    args = parser.parse_args()
    try:
        choose_server(args)
    except ChoiceError as error:
        print(f"ui: {error}", file=sys.stderr)
        return 2
    command = make_command(args.port)
    environment = {**MEMORY, **os.environ, "LUNG_CT_RUN": str(args.run.resolve()), **write_environment(args)}
    return os.execve(command[0], command, environment)  # noqa: S606 - no shell wanted
