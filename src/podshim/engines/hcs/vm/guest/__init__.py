"""Talking to the agent inside a utility VM (the GCS), from the wire up.

    wire          messages and their bytes: sixteen bytes of header, then JSON
    core          which response is to which request: no I/O, no clock, no tasks
    bridge        one asyncio connection to the agent: calls become messages, answers results
    sockets       what hv-sockets are, whoever makes them
    channels      the streams of a guest's processes
    connection    what the agent is asked for: negotiation, changes, containers, processes
    compute       containers and processes in the guest, as the engine uses the host's

The host listens and the guest connects, for the bridge as for each stream of a process.
"""
