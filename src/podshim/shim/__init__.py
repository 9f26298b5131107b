"""The binary's life: what containerd executes, and the server that stays."""
