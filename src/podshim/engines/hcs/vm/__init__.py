"""Utility VMs: what hosts hypervisor-isolated Windows containers and all Linux containers."""
