"""Builds of Windows that made a difference for containers, by their version numbers.

What `RtlGetVersion` calls the build: features are asked for by `build >= WS2022`.
"""

RS3 = 16299
RS4 = 17134
#: Server 2019, and the first with pods and the second schema of HCS.
RS5 = 17763
KERNEL_DIRECT_LCOW = 18286
V19H1 = 18362
COLD_DISCARD_HINT = 18967
V20H2 = 19042
V21H1 = 19043
WS2022 = 20348
WS2025 = 26100
