"""The task service as Microsoft's `containerd-shim-runhcs-v1` serves it: pods and single tasks.

Theory of operation. containerd's clients on Windows know one contract: that of hcsshim. It is not
the one of containerd's runc shim that the rest of `podshim.task` speaks: another life cycle, other
texts, a pod whose sandbox may be no container at all, an exit that is told only when everything of
the container has gone. The parts are the same (life cycle tables, tracks of events, publisher,
background), and engines stand behind the same interface, with the few methods more of `host`.

Nothing here knows on which platform it runs; its tests run on Linux.
"""
