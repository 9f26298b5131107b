"""The version of podshim, in a module that imports nothing: `-v` and the start path read it."""

VERSION = "0.1.0"
