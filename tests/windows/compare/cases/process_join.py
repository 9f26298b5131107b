"""`start` of a container in a pod that has its server, or has none; and many at a time."""

from windows.compare.script import Bundle, Case, EndServer, Run, Together, flags, start
from windows.compare.specs import KIND, SANDBOX, call, cri, spec

_POD = Bundle(cri("sandbox"))
_WORK = Bundle(cri("container"))
_OTHER = Bundle(cri("container"))


def _case(name: str, *steps: object, **bundles: Bundle) -> Case:
    whole = {"pod": _POD, "work": _WORK, **bundles}
    return Case(f"join_{name}", "joining a pod", whole, steps, loose=True)  # type: ignore[arg-type]


CASES = [
    _case("a_pod", start(), start("work$T", "work"), call("Connect")),
    _case("twice", start(), start("work$T", "work"), start("work$T", "work")),
    _case("with_two", start(), start("a$T", "work"), start("b$T", "other"), other=_OTHER),
    _case("under_the_pods_id", start(), start("pod$T", "work")),
    _case("without_a_host", start("work$T", "work")),
    _case("after_the_hosts_end", start(), EndServer(), start("work$T", "work")),
    _case("another_pod", start(), start("work$T", "other"),
          other=Bundle(cri("container", annotations={SANDBOX: "other$T"}))),
    _case("in_another_namespace", start(),
          Run((*flags("work$T", namespace="other$T"), "start"), "work")),
    _case("of_a_single_task", start(bundle="single"), start("work$T", "work"),
          single=Bundle(spec())),
    _case("by_hosts_that_are_pipes_of_others", start("work$T", "work"),
          work=Bundle(spec({KIND: "container", SANDBOX: r"..\x$T"}))),
    _case("leaves_options_unread", start(), start("work$T", "work", b"\xff\xff no options")),
    _case("many_at_a_time", start(), Together([start(f"c{i}$T", f"c{i}") for i in range(6)]),
          **{f"c{i}": _WORK for i in range(6)}),
    _case("pods_at_a_time", Together([start(f"p{i}$T", f"p{i}") for i in range(4)]),
          **{f"p{i}": Bundle(cri("sandbox", annotations={SANDBOX: f"p{i}$T"})) for i in range(4)}),
    _case("singles_at_a_time", Together([start(f"s{i}$T", f"s{i}") for i in range(4)]),
          **{f"s{i}": Bundle(spec()) for i in range(4)}),
]  # fmt: skip
