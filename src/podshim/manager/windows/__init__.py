"""What the manager does in Windows' way: named pipes and process handles. See `manager.platform`.

Theory of operation. Here containerd is the *server* of a container's streams, and the shim connects
to them; only the task service and the log are the shim's own pipes.
"""
