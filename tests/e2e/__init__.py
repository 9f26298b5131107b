"""End-to-end tests of the shim without containerd; a package, so that its servers end with it."""
