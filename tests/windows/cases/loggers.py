"""A logging program, and how a client names it."""

import sys
import uuid
from pathlib import Path
from urllib.parse import quote

# A logging program as containerd's users write them: two readers into one file, ready when it says.
LOGGER = """
import json, os, sys, threading, time
target, mode = sys.argv[1], sys.argv[2:]
def read(name, into):
    with open(os.environ[name], "rb", buffering=0) as pipe:
        while True:
            try:
                data = pipe.read(65536)
            except OSError:
                break
            if not data:
                break
            into.append(data)
out, err = [], []
readers = [threading.Thread(target=read, args=pair) for pair in
           (("CONTAINER_STDOUT", out), ("CONTAINER_STDERR", err))]
if "fail" in mode:
    sys.exit(3)
if "mute" in mode:
    time.sleep(600)
if "late" not in mode:
    for reader in readers: reader.start()
with open(os.environ["CONTAINER_WAIT"], "r+b", buffering=0) as wait:
    if "silent" not in mode:
        wait.write(b"!")
if "late" in mode:
    time.sleep(0.3)
    for reader in readers: reader.start()
for reader in readers: reader.join()
if "stubborn" in mode:
    time.sleep(600)
with open(target, "w") as file:
    json.dump({"out": b"".join(out).decode(), "err": b"".join(err).decode(),
               "env": dict(os.environ), "args": sys.argv[1:]}, file)
"""


def uri(folder: Path, *mode: str) -> tuple[str, Path]:
    """The URI of a logger that behaves so, and the file that it will write."""
    script, target = folder / "logger.py", folder / f"{uuid.uuid4()}.json"
    script.write_text(LOGGER)
    # Words without a value: an argument list is what the keys of a query are for.
    words = "&".join(quote(word, safe="") for word in (str(script), str(target), *mode))
    return f"binary:///{quote(sys.executable)}?{words}", target
