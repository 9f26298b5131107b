"""The command line: flags in all their forms, what is missing, unknown or empty, help, version."""

from windows.compare.script import Bundle, Case, Run, flags
from windows.compare.specs import spec


def _case(name: str, *words: str, bundle: Bundle | None = None) -> Case:
    return Case(name, "command line", {"pod": bundle or Bundle(spec())}, [Run(words)])


CASES = [
    _case("no_arguments"),
    _case("no_command", *flags()),
    _case("help_one_dash", "-help"),
    _case("help_before_a_command", "-h", "start"),
    _case("help_command", "help"),
    _case("help_of_start", *flags(), "start", "--help"),
    _case("help_of_serve", *flags(), "serve", "--help"),
    _case("help_wins_over_missing_flags", "-id", "x", "--help", "start"),
    _case("version", "--version"),
    _case("version_before_start", "-v", "start"),
    _case("unknown_flag", *flags(), "-nonsense", "start"),
    _case("unknown_flag_after_the_command", *flags(), "start", "-nonsense"),
    _case("unknown_command", *flags(), "nonsense"),
    _case("info_is_no_command", *flags(), "-info"),
    _case("no_namespace", *flags(namespace=None), "delete"),
    _case("no_address", *flags(address=None), "delete"),
    _case("no_publish_binary", *flags(publish_binary=None), "delete"),
    _case("no_id", *flags(task=None), "delete"),
    _case("no_flag_at_all", "start"),
    _case("empty_namespace", *flags(namespace=""), "delete"),
    _case("empty_id", *flags(task=""), "delete"),
    _case("flag_without_its_value", *flags(), "-bundle"),
    _case("two_dashes", *(w.replace("-", "--", 1) if w.startswith("-") else w for w in flags()),
          "--bundle", r"$B\pod", "delete"),
    _case("values_after_equals_signs", "-namespace=ns$T", "--address=a", "-publish-binary=b",
          "--id=pod$T", r"-bundle=$B\pod", "delete"),
    _case("the_last_of_two_counts", *flags(), "-id", "other$T", "-bundle", r"$B\pod", "delete"),
    _case("debug_changes_nothing", *flags(), "-debug", "-bundle", r"$B\pod", "delete"),
    _case("debug_with_a_value", *flags(), "-debug=maybe", "-bundle", r"$B\pod", "delete"),
    _case("words_after_the_command", *flags(), "-bundle", r"$B\pod", "delete", "more", "words"),
    _case("flags_after_the_command", "delete", *flags(), "-bundle", r"$B\pod"),
    _case("two_dashes_end_the_flags", *flags(), "-bundle", r"$B\pod", "--", "delete"),
]  # fmt: skip
