"""A logging program for `binary://`, as an administrator would write it: it stands alone.

Called as `logger.py FOLDER how MODE`: it writes what it was given into files in FOLDER.
"""

import json
import os
import sys
import threading
import time


def copy(source: int, path: str) -> None:
    with open(path, "ab") as file:
        while data := os.read(source, 65536):
            file.write(data)


def main() -> None:
    values = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    folder, how = values["folder"], values.get("how", "well")
    fds = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    fds = [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")]
    if how == "crash":
        sys.exit(3)
    with open(f"{folder}/facts", "w") as file:
        json.dump({"argv": sys.argv, "env": dict(os.environ), "fds": fds, "pid": os.getpid()}, file)
    if how == "late":
        while not os.path.exists(f"{folder}/go"):
            time.sleep(0.01)
    threads = [
        threading.Thread(target=copy, args=(fd, f"{folder}/{name}"))
        for fd, name in ((3, "stdout"), (4, "stderr"))
    ]
    for thread in threads:
        thread.start()
    os.write(5, b"\0")
    os.close(5)
    for thread in threads:
        thread.join()
    with open(f"{folder}/done", "w"):
        pass


main()
