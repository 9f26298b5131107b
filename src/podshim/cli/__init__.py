"""Tools for people who run shims. Nothing here is on a container's way."""
