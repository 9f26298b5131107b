"""Typed calls of Windows' own libraries, and the owners of what those calls hand out.

Theory of operation. A module here speaks for one part of Windows: it declares functions with their
types (`binding`), wraps what they return in owners that give it back (`handles`), and turns
failures into `OSError` with Windows' code (`binding.failure`). It decides nothing.

Declaring loads nothing: a library is loaded from `system32`, and a function looked up, at its first
call. So every module imports on every platform, is type-checked there, and its structures and
arithmetic are tested there.

Import the module that you need: this file imports none of them.
"""
