"""What the specs of Windows' containers say: predicates, annotations, options; pure, any platform.

The OCI spec of a container for Windows carries much of its meaning in annotations. What they are,
how their texts are read, and what follows from them is said here once, for the task layer, which
judges requests by it, and for the engine, which builds documents of it.
"""
