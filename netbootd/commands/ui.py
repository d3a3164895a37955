"""``netbootd ui``: the address of the web page, with the key to it."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netbootd.commands.words import Commands, command, complain, with_config

if TYPE_CHECKING:
    from netbootd import apiclient
    from netbootd.config import Config

_ADDRESS = re.compile(r" on (\d{1,3}(?:\.\d{1,3}){3})")

_MORE = """\
The address has a key behind the #, where no server and no log gets to see it; the page makes a
session of it, which ends after 12 hours.  The key is good once, within five minutes.  It is asked
for over the daemon's Unix socket, so this is for whoever may use that.

examples:
  sudo netbootd ui
  netbootd ui --url http://boot.example:3000
  xdg-open "$(sudo netbootd ui)"

exit status: 0 printed, 1 the daemon cannot be asked, or the page is switched off.
"""


def add(commands: Commands) -> None:
    text = "Print the address of the web page, for a browser."
    parser = command(commands, "ui", _ui, text, _MORE)
    with_config(parser)
    parser.add_argument("--url", help="where the browser reaches the daemon, if not by its address")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="a file with an API token, in place of a key",
    )


def _ui(arguments: argparse.Namespace) -> int:
    from urllib.parse import quote  # noqa: PLC0415

    from netbootd import apiclient, apidoors, urls  # noqa: PLC0415

    settings = apidoors.settings_of(arguments.config)
    if not settings.web:
        complain('the web page is switched off: "web" is false in the configuration')
        return 1
    api = apiclient.connect(arguments.config)
    if arguments.token_file:
        key = apidoors.token_of(settings, arguments.token_file)
    else:
        key = api.send("POST", "session", "key")["key"]
    base = arguments.url or _base(api, settings)
    print(f"{base.rstrip('/')}/{urls.UI}/#token={quote(key, safe='')}")
    if sys.stdout.isatty():
        complain("whoever has this address can change everything")
    return 0


def _base(api: apiclient.Api, settings: Config) -> str:
    """Where the running daemon listens, as it says itself; else this host.  By HTTPS if it can."""
    from netbootd import urls  # noqa: PLC0415
    from netbootd.errors import NetbootdError  # noqa: PLC0415

    try:
        listening = api.get("status").get("listening", ())
    except NetbootdError as problem:
        complain(str(problem))
        complain("this is where its page would be:")
        listening = ()
    secure = next((port for port in settings.tls.ports if f"HTTPS TCP {port}" in listening), 0)
    found = next(filter(None, (_ADDRESS.search(str(line)) for line in listening)), None)
    host = found[1] if found else "127.0.0.1"
    return urls.base_url(host, secure or settings.http_port[0], secure=bool(secure))
