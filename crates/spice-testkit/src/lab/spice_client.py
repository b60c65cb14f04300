"""spice-gtk's session without a window: opens every channel that the server offers, stays until stdin ends, and leaves when
the last channel has opened or failed a moment ago: spice-server 0.15.1 crashes where a display leaves before it is served.

One line on stdout for each channel event: TYPE ID EVENT [REASON]. Exit code 0 when all that was offered opened.
"""
import argparse
import sys
import time

import gi

gi.require_version("SpiceClientGLib", "2.0")
from gi.repository import GLib, SpiceClientGLib  # noqa: E402

MAIN = 1
PATIENCE = 30  # seconds for a channel to open or fail
# option of this script -> property of SpiceSession
PROPERTIES = {
    "host": "host",
    "port": "port",
    "tls_port": "tls-port",
    "unix": "unix-path",
    "user": "username",
    "password": "password",
    "ca": "ca-file",
    "secure_channels": "secure-channels",
    "proxy": "proxy",
}

parser = argparse.ArgumentParser(description=__doc__)
for option in PROPERTIES:
    parser.add_argument("--" + option.replace("_", "-"))
parser.add_argument("--moment", type=float, required=True, help="seconds to stay when the last channel has opened or failed")
options = vars(parser.parse_args())
moment = options.pop("moment")
options["host"] = options["host"] or "127.0.0.1"

session = SpiceClientGLib.Session()
for option, value in options.items():
    if value is not None:
        session.set_property(PROPERTIES[option], value.split(",") if option == "secure_channels" else value)

seen = {}  # (type, id) -> did it open?
heard = {}  # (type, id) -> when it opened, failed or closed
loop = GLib.MainLoop()


def name_of(channel):
    return channel.get_property("channel-type"), channel.get_property("channel-id")


def tell(channel, event):
    kind = event.value_nick
    seen[name_of(channel)] |= kind == "opened"
    heard[name_of(channel)] = time.monotonic()
    error = channel.get_error()
    print(*name_of(channel), kind, *([error.message] if error else []), flush=True)


def adopt(_session, channel):
    seen[name_of(channel)] = False
    channel.connect_after("channel-event", tell)
    if name_of(channel)[0] != MAIN:  # the session opens main by itself
        SpiceClientGLib.Channel.connect(channel)


def leave(*_unused):
    go_when_settled(time.monotonic() + PATIENCE)
    return False


def go_when_settled(deadline):
    now = time.monotonic()
    if now < deadline and (len(heard) < len(seen) or now < max(heard.values(), default=0) + moment):
        GLib.timeout_add(10, go_when_settled, deadline)
    else:
        SpiceClientGLib.Session.disconnect(session)
        GLib.timeout_add(200, loop.quit)  # the channels close from the main loop
    return False


session.connect_after("channel-new", adopt)
GLib.io_add_watch(GLib.IOChannel.unix_new(sys.stdin.fileno()), GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, leave)
SpiceClientGLib.Session.connect(session)
loop.run()
sys.exit(0 if seen and all(seen.values()) else 1)
