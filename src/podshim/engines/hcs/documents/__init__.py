"""The JSON documents that HCS and guests take: built from plain values, without I/O."""
