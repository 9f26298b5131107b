"""The engine of Windows: the Host Compute Service, and job objects for HostProcess containers."""
