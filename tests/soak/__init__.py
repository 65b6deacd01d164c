"""The soak: many clients for hours, a change a second, and faults at random; everything real, on this machine.

`scripts/soak --hours 1` runs it. One server on SQLite; clients in several processes, half of the managers with threads
and half in asyncio, behind the fault proxy; a writer that remembers what was acknowledged. Faults come one after the
other, by a seed, and from time to time there are none, until everybody has to be current. Every second each client says
what it believes, and is held against what is true.
"""
