"""Where ttrpc's bytes travel: addresses, and one module for each kind of carrier.

`address` is pure and light. A carrier module (`unix`, and for Windows `pipes`) connects, listens
and serves: it makes connections, checks who is at the other end, and hands them to
`podshim.ttrpc`'s protocols. A carrier needs nothing of ttrpc but `Client()` and
`Server.protocol(peer)`, and gives them an `asyncio.Transport`.

    address           what a shim and containerd say of where they are
    streams           byte streams as their users see them
    unix              Unix sockets
    pipes             named pipes: the face of the modules below
    proactor          overlapped operations on the Proactor loop; all that is private to asyncio
    pipe_stream, pipe_transport     a connection as a stream, or under a protocol
    pipe_listener     a server's end: holds the name, loses no client
    blocking_pipe     a client without an event loop, for `start`

Import the module that you need: this file imports none of them.
"""
