"""`start` in bundles that are broken in some way."""

import json
from typing import Any

from windows.compare.script import Bundle, Case, start
from windows.compare.specs import call, spec

_GOOD = json.dumps(spec())


def _case(
    name: str, config: Any, files: dict[str, str] | None = None, *, begins: bool = False
) -> Case:
    bundles = {"pod": Bundle(config, files=files or {})}
    return Case(f"bundle_{name}", "broken bundles", bundles, [start(), *[call("Connect")] * begins])


CASES = [
    _case("without_config", None),
    _case("config_is_a_folder", None, {"config.json\\": ""}),
    _case("config_empty", ""),
    _case("config_blank", " \r\n\t"),
    _case("config_is_no_json", "annotations: none"),
    _case("config_truncated", _GOOD[:-1]),
    _case("config_truncated_in_a_text", '{"annotations": {"a": "b'),
    _case("config_null", "null", begins=True),
    _case("config_an_array", "[]"),
    _case("config_a_text", '"spec"'),
    _case("config_a_number", "5"),
    _case("config_true", "true"),
    _case("config_empty_object", "{}", begins=True),
    _case("config_with_garbage_after_it", _GOOD + " and more }{", begins=True),
    _case("config_twice", _GOOD + _GOOD, begins=True),
    _case("config_with_a_byte_order_mark", "\ufeff" + _GOOD),
    _case("config_with_a_trailing_comma", '{"annotations": {},}'),
    _case("config_with_single_quotes", "{'annotations': {}}"),
    _case("config_with_a_bad_escape", r'{"annotations": {"a": "\x"}}'),
    _case("config_with_a_raw_newline", '{"annotations": {"a": "b\n"}}'),
    _case("config_not_a_number", '{"annotations": {}, "x": NaN}'),
    _case("config_with_other_case", '{"ANNOTATIONS": {"io.kubernetes.cri.container-type": "pod"}}'),
    _case("config_with_two_annotations",
          '{"annotations": {"io.kubernetes.cri.container-type": "pod"},'
          ' "annotations": {"a": "b"}}'),
    _case("other_members_of_wrong_types", '{"process": 5, "windows": []}', begins=True),
    _case("panic_log_is_a_folder", spec(), {"panic.log\\": ""}),
    _case("pid_file_is_a_folder", spec(), {"shim.pid\\": ""}),
    _case("address_is_a_folder", spec(), {"address\\": ""}),
    _case("files_of_an_earlier_life", spec(),
          {"panic.log": "old", "shim.pid": "1", "address": "old"}, begins=True),
]  # fmt: skip
