"""What test suites share: a private world and containerd, images, clients, a census."""
