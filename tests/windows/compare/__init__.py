"""The comparison of our shim with Microsoft's, case by case.

Theory of operation. A *case* (`script`, and the files in `cases`) is data: bundles, command lines,
calls, what to wait for, faults of the stand-in HCS. A *player* (`player`, on Windows) plays it
against one executable and writes down all that a client, an operator or HCS could see of it; what
can't be the same twice (`normal`) gets a name: pids, times, GUIDs. What remains is an
*observation*, plain JSON. Two observations of one case, of two shims, are equal, or they differ at
places that `known` lists with the reason why ours is better; anything else is a failure (`judge`).

Observations of the original are kept in `recorded`, one file for each file of cases, so that ours
is judged also where the original can't be had. `stage` is the program that plays many cases in one
Windows Python; `python -m windows.compare` calls it, makes recordings and prints the table.
"""
