"""Where ttrpc's bytes travel: addresses, and one module for each kind of carrier.

`address` is pure and light. A carrier module (`unix`) connects, listens and serves: it makes
connections, checks who is at the other end, and hands them to `podshim.ttrpc`'s protocols. A
carrier needs nothing of ttrpc but `Client()` and `Server.protocol(peer)`, and gives them an
`asyncio.Transport`: another kind, such as Windows' named pipes, becomes a module beside it with
the same functions.

Import the module that you need: this file imports none of them.
"""
