"""QEMU's own QMP library against the socket in argv[1]: negotiates, runs commands, listens. Prints what it saw, a line each."""

import asyncio
import json
import sys

from qemu.qmp import EventListener, ExecuteError, QMPClient


def tell(*words):
    print(*(word if isinstance(word, str) else json.dumps(word, sort_keys=True, default=dict) for word in words), flush=True)


async def main():
    qmp = QMPClient("test")
    await qmp.connect(sys.argv[1])
    tell("greeting", {"capabilities": qmp.greeting.QMP.capabilities})
    tell("version", await qmp.execute("query-version"))
    tell("commands", sorted(entry["name"] for entry in await qmp.execute("query-commands")))
    tell("schema", len(await qmp.execute("query-qmp-schema")) > 10)
    tell("later", await qmp.execute("later"))
    for command, arguments in ("nope", None), ("emit", {"number": "three"}), ("emit", {"number": 1, "more": True}):
        try:
            await qmp.execute(command, arguments)
        except ExecuteError as error:
            tell("error", error.error_class, "|", str(error))
    listener = EventListener(("SPICE_CONNECTED", "SPICE_INITIALIZED"))
    with qmp.listen(listener):
        await qmp.execute("emit", {"number": 3})
        for _ in range(3):
            event = await asyncio.wait_for(listener.get(), 30)
            tell("event", event)
    replies = await asyncio.gather(*(qmp.execute("echo", {"i": i}) for i in range(50)))
    tell("concurrent", replies == [{"i": i} for i in range(50)])
    await qmp.disconnect()
    tell("done")


asyncio.run(main())
