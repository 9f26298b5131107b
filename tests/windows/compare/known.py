"""Every known difference between the original and ours, with the reason."""

from windows.compare.judge import Difference

KNOWN: list[Difference] = []
