"""What `start` makes of the annotations of pods: the whole table."""

from typing import Any

from windows.compare.script import POD, Bundle, Case, start
from windows.compare.specs import KIND, SANDBOX, spec


def _case(name: str, annotations: Any) -> Case:
    bundles = {"pod": Bundle(spec(annotations))}
    return Case(f"annotations_{name}", "annotations", bundles, [start()])


CASES = [
    _case("absent", None),
    _case("empty", {}),
    _case("others_only", {"a": "b", "io.kubernetes.cri.container-name": "c"}),
    _case("neither_but_empty_id", {SANDBOX: ""}),
    _case("id_without_type", {SANDBOX: POD}),
    _case("container_without_id", {KIND: "container"}),
    _case("container_with_empty_id", {KIND: "container", SANDBOX: ""}),
    _case("sandbox_without_id", {KIND: "sandbox"}),
    _case("sandbox_with_empty_id", {KIND: "sandbox", SANDBOX: ""}),
    _case("sandbox", {KIND: "sandbox", SANDBOX: POD}),
    _case("sandbox_of_another_id", {KIND: "sandbox", SANDBOX: "other$T"}),
    _case("container_without_a_host", {KIND: "container", SANDBOX: "other$T"}),
    _case("container_that_is_its_own_pod", {KIND: "container", SANDBOX: POD}),
    _case("empty_type", {KIND: ""}),
    _case("empty_type_with_id", {KIND: "", SANDBOX: POD}),
    _case("capitalised_type", {KIND: "Sandbox", SANDBOX: POD}),
    _case("type_in_capitals", {KIND: "CONTAINER", SANDBOX: POD}),
    _case("type_with_a_blank", {KIND: "sandbox ", SANDBOX: POD}),
    _case("unknown_type", {KIND: "pod", SANDBOX: POD}),
    _case("unknown_type_without_id", {KIND: "pod"}),
    _case("key_in_capitals", {KIND.upper(): "sandbox", SANDBOX.upper(): POD}),
    _case("number_as_type", {KIND: 5, SANDBOX: POD}),
    _case("nothing_as_type", {KIND: None, SANDBOX: POD}),
    _case("object_as_id", {KIND: "sandbox", SANDBOX: {}}),
    _case("an_array", ["a"]),
    _case("a_text", "a"),
    _case("a_number", 5),
]
