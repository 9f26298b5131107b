"""The life of `containerd-shim-runhcs-v1`: its command line, `start`, `serve` and `delete`.

Theory of operation. The process contract of Microsoft's shim, to the byte, because containerd on
Windows and its operators' tools know it: another command line than containerd's own shims have, a
pod whose containers join the sandbox's shim by name, readiness told by closing standard output, a
pipe for the log. What is Windows' about it, pipes and processes, lies below: `transport`, `win32`.
"""
