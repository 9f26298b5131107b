"""The server's log: on a pipe, in lines of a form that log shippers know, or nowhere."""

from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage

from podshim.api.runhcs_options_pb2 import Options
from windows.compare.script import Bundle, Case, Log, LogLine, Step, start
from windows.compare.specs import call, create, spec


def _case(name: str, *steps: Step, **members: Any) -> Case:
    options = AnyMessage(
        type_url="containerd.runhcs.v1.Options", value=Options(**members).SerializeToString()
    )
    begun = start(stdin=options.SerializeToString())
    return Case(f"log_{name}", "log", {"pod": Bundle(spec())}, [begun, *steps])


CASES = [
    _case("on_its_pipe", Log(), create(), LogLine(), debug=True),
    _case("on_the_pipe_of_the_shims_id", Log("other$T"), call("Connect"), debug=True),
    _case("to_a_second_reader", Log(), create(), LogLine(), Log(), call("Start"), LogLine(),
          debug=True),
    _case("nowhere", Log(), create(), debug_type=Options.ETW),
]  # fmt: skip
