"""Plays one case against one executable, and writes down what could be seen."""

import asyncio
import json
import re
import sys
import threading
from pathlib import Path
from typing import Any, cast

from google.protobuf.any_pb2 import Any as AnyMessage

from podshim.api import (
    extended_task_ttrpc,
    runhcs_diag_ttrpc,
    task_v2_pb2,
    task_v2_ttrpc,
)
from podshim.ttrpc import StatusError
from podshim.ttrpc.service import Kind, MethodDescriptor
from windows.compare import script, usage
from windows.compare.normal import Names
from windows.compare.plain import plain

assert sys.platform == "win32"

from windows.compare.scene import (  # noqa: E402 - after the line that tells where this runs
    LIMIT,
    Process,
    Scene,
    popen,
    run_limited,
)

Observation = dict[str, Any]


async def play(case: script.Case, executable: str) -> Observation:
    """Play a case.

    Returns:
        `steps` (one entry for each, by a label), `events` (for each process, in order), `effects`
        (in order, of a loose case for each compute system): all with names for what can't be the
        same twice.
    """
    scene = Scene(case, executable)
    try:
        await scene.open()
        player = _Player(scene)
        steps: dict[str, Any] = {}
        for number, step in enumerate(case.steps, 1):
            steps[f"{number:02} {label(step)}"] = await player.do(step)
        effects: Any = [one for one in scene.trace() if one["call"] not in case.ignored]
        if case.loose:
            effects = _by_system(effects)
        raw = {"steps": steps, "events": _by_process(scene.events.seen), "effects": effects}
        return cast("Observation", Names(scene.token).of(raw))
    finally:
        await scene.close()


def label(step: script.Step) -> str:
    """A step's name in an observation."""
    match step:
        case script.Run(arguments=words):
            return f"run {words[-1]}" if words else "run"
        case script.Call(method=method, fields=fields, also=also):
            who = "/".join(str(fields[key]) for key in ("id", "exec_id") if fields.get(key))
            return " ".join(word for word in ("call", method, who, also) if word)
        case script.Event(topic=topic, id=task, exec_id=exec_id):
            return f"event {topic} {task} {exec_id}".rstrip()
        case script.Listen(name) | script.Say(name) | script.HangUp(name) | script.Hear(name):
            return f"{type(step).__name__.lower()} {name}"
        case script.Together(steps):
            return f"together {', '.join(label(one) for one in steps)}"
        case _:
            return type(step).__name__.lower()


def _by_process(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        container = event.get("container_id", "")
        exec_id = event.get("exec_id") or event.get("id") or ""
        name = container if exec_id in {"", container} else f"{container}/{exec_id}"
        found.setdefault(name, []).append(event)
    return dict(sorted(found.items()))


def _by_system(effects: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for effect in effects:
        path = str(effect.get("arguments", {}).get("Path", ""))
        found.setdefault(effect.get("system") or path or "host", []).append(effect)
    return dict(sorted(found.items()))


class _Player:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._address = ""
        self._behind: dict[str, asyncio.Task[Any]] = {}

    async def do(self, step: script.Step) -> Any:
        """Do a step; returns its entry."""
        match step:
            case script.Run():
                return await (self._serve(step) if step.serves else self._run(step))
            case script.Call():
                return self._begin(step) if step.behind else await self._call(step)
            case script.Collect():
                answers = {name: await answer for name, answer in self._behind.items()}
                self._behind.clear()
                return answers
            case script.Together(steps):
                outcomes = await asyncio.gather(*map(self.do, steps))
                return sorted(outcomes, key=lambda one: json.dumps(one, sort_keys=True))
            case script.Event():
                return await self._event(step)
            case script.Ended() | script.EndServer():
                return await self._end(step)
            case _:
                return await self._stream(step)

    def _begin(self, step: script.Call) -> str:
        name = f"{len(self._behind) + 1} {label(step)}"
        self._behind[name] = asyncio.ensure_future(self._call(step))
        return "(answers later)"

    async def _stream(self, step: script.Step) -> Any:
        scene = self._scene
        match step:
            case script.Listen(name):
                return await scene.listen(name)
            case script.Say(name, text):
                return (await scene.pipes[name].client()).write(text.encode())
            case script.HangUp(name):
                return (await scene.pipes[name].client()).close()
            case script.Hear(name, text):
                return await scene.pipes[name].hear(text)
            case script.Log(id=task):
                return await scene.connect_log(task)
            case script.LogLine():
                text = await scene.pipes["log"].hear("\n")
                return "as it should be" if _LOG_LINE.match(text) else text
        raise TypeError(step)

    async def _end(self, step: script.Ended | script.EndServer) -> Any:
        if isinstance(step, script.EndServer):
            return await asyncio.to_thread(self._scene.servers.pop(step.bundle).end)
        code = await asyncio.to_thread(self._scene.servers[step.bundle].exit_code, 20.0)
        return {"exit code": code, **self._panic(step.bundle)}

    async def _event(self, step: script.Event) -> str:
        task = self._scene.filled(step.id)
        came = await self._scene.events.follow(step.topic, task, step.exec_id, 0)
        return "came" if came else "(did not come)"

    # -- command lines

    def _prepared(self, step: script.Run) -> tuple[list[str], Path, dict[str, str]]:
        scene = self._scene
        words = [scene.executable, *scene.filled(list(step.arguments))]
        environment = scene.environment()
        for name, value in step.environment.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = scene.filled(value)
        return words, scene.folder / step.bundle, environment

    async def _run(self, step: script.Run) -> Any:
        words, folder, environment = self._prepared(step)
        stdin = self._scene.filled(step.stdin)
        code, out, err = await asyncio.to_thread(run_limited, words, folder, environment, stdin)
        self._hold_server(step.bundle)
        if out.startswith(rb"\\.\pipe") and code == 0:
            self._address = out.decode().split()[0]
            await self._wake()
        entry: dict[str, Any] = {"exit code": code}
        if "delete" in step.arguments and code == 0:
            entry["stdout"] = _response(out)
        else:
            entry["stdout"] = usage.condensed(_text(out))
        errors = _text(err)
        if "serve" in step.arguments:
            errors = _without_records(errors)  # a server's log, until somebody reads its pipe
        if errors := _errors(errors):
            entry["stderr"] = errors
        if files := self._files(step.bundle):
            entry["files"] = files
        return entry

    async def _wake(self) -> None:
        """Have the server's first client be ours, and not a `start` that joins."""
        try:
            await asyncio.wait_for(self._scene.client(self._address), LIMIT)
        except OSError:
            return  # it never came up

    async def _serve(self, step: script.Run) -> Any:
        words, folder, environment = self._prepared(step)
        child = popen(words, folder, environment)
        self._scene.children.append(child)

        def talk() -> bytes:
            assert child.stdin
            assert child.stdout
            child.stdin.write(self._scene.filled(step.stdin))
            child.stdin.close()
            child.stdin = None
            return child.stdout.read()

        def drain() -> None:
            assert child.stderr
            child.stderr.read()

        threading.Thread(target=drain, daemon=True).start()
        out = await asyncio.wait_for(asyncio.to_thread(talk), LIMIT)
        self._scene.servers[step.bundle] = Process(child.pid)
        code = await asyncio.to_thread(self._scene.servers[step.bundle].exit_code, 0.1)
        if code is None and "-socket" in "".join(step.arguments):
            flag = next(word for word in step.arguments if word.endswith("-socket"))
            self._address = self._scene.filled(step.arguments[step.arguments.index(flag) + 1])
        return {"exit code": code, "stdout": _text(out)}

    def _hold_server(self, bundle: str) -> None:
        if bundle in self._scene.servers:
            return
        try:
            pid = int((self._scene.folder / bundle / "shim.pid").read_text())
            if pid not in {held.pid for held in self._scene.servers.values()}:
                self._scene.servers[bundle] = Process(pid)
        except (OSError, ValueError):
            return

    def _files(self, bundle: str) -> dict[str, Any]:
        """The files that a shim writes, with what is in them."""
        given = {"config.json", "base", "scratch"}
        found: dict[str, Any] = {}
        for path in sorted((self._scene.folder / bundle).iterdir()):
            if path.name in given:
                continue
            if path.name == "panic.log":
                found.update(self._panic(bundle))
            elif path.is_dir():
                found[path.name] = "(a folder)"
            else:
                text = path.read_text(errors="backslashreplace")
                found[path.name] = {"pid": int(text)} if text.isdecimal() else text
        return found

    def _panic(self, bundle: str) -> dict[str, Any]:
        try:
            text = (self._scene.folder / bundle / "panic.log").read_text(errors="replace")
        except OSError:
            return {}
        crash = [line for line in text.splitlines() if line.startswith(("panic:", "fatal error:"))]
        return {"panic.log": crash[0] if crash else _without_records(text)}

    # -- calls

    async def _call(self, step: script.Call) -> Any:
        method = _METHODS.get(step.method)
        if method is None:
            method = MethodDescriptor(
                task_v2_ttrpc.SERVICE,
                step.method,
                Kind.UNARY,
                task_v2_pb2.StateRequest,
                task_v2_pb2.StateResponse,
            )
        request = method.request(**self._members(step.fields))
        expected = self._expected(step)
        try:
            client = await asyncio.wait_for(self._scene.client(self._address), LIMIT)
            reply = await client.call(method, request, timeout=step.timeout)
        except StatusError as err:
            return {"code": err.code.name, "text": err.message}
        except (OSError, EOFError) as err:
            return {"no answer": type(err).__name__}
        entry = {"reply": plain(reply)}
        if step.method == "Pids":
            _drop_consoles(entry["reply"])
        if expected and not await self._scene.events.follow(*expected):
            entry["event"] = "(did not come)"
        if step.causes and not await self._scene.asked(step.causes):
            entry["request"] = "(did not come)"
        if step.method in {"Wait", "Delete"} and not await self._ended(step):
            entry["exit event"] = "(did not come)"
        return entry

    async def _ended(self, step: script.Call) -> bool:
        """Wait for the exit event of a process that has ended; whether it came or need not come."""
        fields = self._scene.filled(dict(step.fields))
        task, exec_id = str(fields.get("id", "")), str(fields.get("exec_id", ""))
        events = self._scene.events
        if not self._scene.case.events:
            return True
        if exec_id and not events.count("exec-started", task, exec_id):
            return True  # nobody is told of its end
        return await events.follow("exit", task, exec_id, 0)

    def _expected(self, step: script.Call) -> tuple[str, str, str, int] | None:
        """The event that follows if the call succeeds, and how many of its kind came before."""
        fields = self._scene.filled(dict(step.fields))
        task, exec_id = str(fields.get("id", "")), str(fields.get("exec_id", ""))
        topic = _FOLLOWED_BY.get(step.method)
        if not self._scene.case.events or topic is None:
            return None
        if step.method == "Start" and exec_id:
            topic = "exec-started"
        return topic, task, exec_id, self._scene.events.count(topic, task, exec_id)

    def _members(self, fields: Any) -> dict[str, Any]:
        members = self._scene.filled(dict(fields))
        for name, value in members.items():
            if isinstance(value, script.Typed):
                data = value.value if isinstance(value.value, bytes) else value.value.encode()
                members[name] = AnyMessage(type_url=value.type_url, value=data)
        return members


_FOLLOWED_BY = {"Create": "create", "Start": "start", "Exec": "exec-added", "Delete": "delete"}
_METHODS: dict[str, MethodDescriptor[Any, Any]] = {
    found.name: found
    for module in (task_v2_ttrpc, runhcs_diag_ttrpc, extended_task_ttrpc)
    for found in vars(module).values()
    if isinstance(found, MethodDescriptor)
}


def _drop_consoles(reply: Any) -> None:
    """Forget the processes that Wine starts for consoles, sooner or later."""
    if processes := reply.get("processes"):
        reply["processes"] = [
            one for one in processes if one.get("info", {}).get("image_name") != "conhost.exe"
        ]


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace").replace("\r\n", "\n")


def _response(data: bytes) -> Any:
    try:
        return plain(task_v2_pb2.DeleteResponse.FromString(data))
    except ValueError:
        return _text(data)


_LOG_LINE = re.compile(
    r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)" level=[a-z]+ msg=\S'
)
# Traces of inner calls: begun where a line may have begun already.
_TRACES = re.compile(r'time="[^"]*" level=\w+ msg=Span .*$', re.MULTILINE)
# A server's log goes to panic.log until somebody reads its pipe; that `delete` repeats it.
_REPEATED = re.compile(r'^.*msg="found shim panic logs during delete" log="time=.*$', re.MULTILINE)
_TIME = re.compile(r'^time="[^"]*" ', re.MULTILINE)


def _without_records(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("time="))


def _errors(text: str) -> str:
    """Error output; of log records what they say, without times and traces of inner calls."""
    text = _REPEATED.sub("", text.replace("\r\n", "\n"))
    text = _TIME.sub("", _TRACES.sub("", text))
    return "\n".join(line for line in text.splitlines() if line)
