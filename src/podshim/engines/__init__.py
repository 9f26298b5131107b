"""What really runs containers: one package an engine, each behind `podshim.engine`."""
