"""Clients, servers, network and disks in one process and in virtual time, driven by a seed (G1).

What runs is the real thing: managers with their sessions, feeds, pollers and disk caches on one side; routes, hub,
broadcaster, editor and the tail of the log on the other. Only what is outside is made up: the event loop with every
clock (`clock`), the bytes between the two (`network`), the disk (`disk`) and the database (`database`). `run` puts them
in the places of `client.transport.Transport`, of the folder of `client.disk.DiskCache` and of `server.storage.Storage`.

A schedule (`schedule`) is a list of steps, made of a seed: edits; lines that break, freeze, delay, hold back, lose,
repeat, reorder, cut off and alter; somebody else who answers; servers that are killed, drained, late or without their
database; a log that is truncated or restored from a backup; disks that are full, broken or damaged; clocks that are
set; machines that sleep; clients that are slow, closed, crashed, forked and started anew. After each step, and with
every update that a client takes, `invariants` are checked; at the end everything is mended, and all must get to where
the log is, and stay there. The same seed gives the same run, in every process.

    python -m tests.simulator --seeds 100000            # a long run; --from, --jobs, --counts
    python -m tests.simulator --seed 4711 --trace       # one schedule, and everything that happens
    python -m tests.simulator --seed 4711 --keep 3,9    # of its steps only these
    python -m tests.simulator --mutation all            # which seeds notice that a rule is broken

A schedule that fails is made smaller (`shrinking`), and the command that runs it again is printed. `mutations` break
one rule of the product each, and a test demands that each is noticed.

There is no relay in the product. What one would add to a client's world is here already: a server whose log is late
(`lag`), which still serves an epoch that has ended. What it would add besides is a state of its own to lose: a relay
follows another server as a client does, so its hub would begin from a disk, be resynchronized, and have no database to
ask. Whoever builds it puts a node here whose view is fed by a `client.follow.Follower`.
"""
