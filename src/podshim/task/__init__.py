"""What a shim serves: tasks and execs, their states, their order, their events.

From the ground up: `lifecycle` (what may happen next), `identifiers` (which names are fit) and
`outbox` (events in order) are pure. `background` owns what runs without a caller, `process` an
init or exec, `task` a container as the API sees it, `registry` the pod's tasks and when the shim
may go. `events` makes the events, `publisher` sends them, `service` translates messages. Engines
are known by `podshim.engine` alone.
"""
