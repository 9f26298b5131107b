"""A Windows to test on, made of Wine and a Windows build of CPython, kept outside the repository.

A *box* is a Wine prefix together with what this project's tests need in it, made once and copied
for each *world* that runs it:

* ``recipe``    what a box is made of: pinned versions and checksums, and a hash over all of it
* ``setup``     makes a box from the recipe, once
* ``additions`` what follows the checkout from call to call: console scripts, the stand-in HCS
* ``worlds``    makes and removes copies
* ``server``    a world's wineserver, which outlives single commands to make them quick
* ``box``       the face of all this to tests: ``Box.run``, ``Box.start``, sessions
* ``streams``   copies standard streams
* ``cli``       the command ``tests/windows/wine``, which adds standard streams of any kind

Nothing here is needed to use podshim, and nothing here runs on Windows.
"""

from windows.winebox.box import Box, open_box
from windows.winebox.recipe import UnavailableError

__all__ = ["Box", "UnavailableError", "open_box"]
