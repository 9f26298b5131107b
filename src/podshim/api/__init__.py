"""The messages and services of containerd's shim world: `.proto` files and what is made of them.

`NAME.proto` gives `NAME_pb2.py` (messages, with types in `NAME_pb2.pyi`) and, if it has services,
`NAME_ttrpc.py` (method descriptors, client stubs, server base classes). All of these are made by
`python tools/generate_api.py` and committed; nothing here is written by hand but the protos.

Import the module that you need: this file imports none of them.
"""
