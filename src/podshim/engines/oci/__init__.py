"""Linux containers by an OCI runtime (see `engine` for the way in)."""

from podshim.engines.oci.engine import OciEngine as OciEngine

__all__ = ["OciEngine"]
