"""podshim: containerd runtime shims in Python.

A shim is a class and a call:

    import podshim
    class MyEngine(podshim.Engine): ...
    podshim.main(MyEngine)

The names below are the public face, with the classes of `podshim.errors` for engines to raise;
everything else may change. They are imported when first touched, because this file is on the path
of every `start`, which must stay light.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podshim.bundle import Bundle as Bundle
    from podshim.engine import (
        Container as Container,
        CreateRequest as CreateRequest,
        Engine as Engine,
        EngineInfo as EngineInfo,
        Environment as Environment,
        Exit as Exit,
        Mount as Mount,
        Process as Process,
        Stdio as Stdio,
        TypedValue as TypedValue,
    )
    from podshim.shim.main import main as main

_HOMES = {
    "Bundle": "podshim.bundle",
    "Container": "podshim.engine",
    "CreateRequest": "podshim.engine",
    "Engine": "podshim.engine",
    "EngineInfo": "podshim.engine",
    "Environment": "podshim.engine",
    "Exit": "podshim.engine",
    "Mount": "podshim.engine",
    "Process": "podshim.engine",
    "Stdio": "podshim.engine",
    "TypedValue": "podshim.engine",
    "main": "podshim.shim.main",
}
__all__ = list(_HOMES)


if not TYPE_CHECKING:  # so that a type checker still refuses a name that is not there

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            message = f"module 'podshim' has no attribute {name!r}"
            raise AttributeError(message)
        from importlib import import_module

        value: object = getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
