"""The package `qmp`: sends `stop` and `cont` in turn and counts how often a command's event is there with its reply.

Arguments: the path of the socket, the number of commands, `connect` or `accept`. With `accept` it listens, and the server connects."""

import sys

import qmp

path, number, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = qmp.QEMUMonitorProtocol(path, server=how == "accept")
greeting = client.accept(60) if how == "accept" else client.connect()
print("greeting", greeting["QMP"]["capabilities"])
there = 0
for i in range(number):
    command, event = (("stop", "STOP"), ("cont", "RESUME"))[i % 2]
    assert client.cmd(command) == {"return": {}}
    there += [seen["event"] for seen in client.get_events(wait=False)] == [event]
    client.clear_events()
print("event with its reply", there, "of", number)
print("error", client.cmd("nope")["error"]["class"])
client.close()
