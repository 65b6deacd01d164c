"""Clients, servers, network and disks in one process and in virtual time, driven by a seed (G1).

What runs is the real thing: managers with their sessions, feeds and pollers on one side, hub, broadcaster and the
opening of streams on the other. Only what is outside is made up: the event loop's clock (`clock`), the bytes between
the two (`network`), the disk (`disk`), the database with its log (`log`, `node`) and the administrator (`schedule`).

A schedule is a list of steps, made of a seed: edits, lines that break, freeze, delay and corrupt, servers that are
killed, drained, late or restored from a backup, clients that are closed, forked and started anew. After each step, and
with every update that a client takes, `invariants` are checked; at the end everything is mended, and all clients must
get to where the log is. The same seed gives the same run, to the byte.

    python -m tests.simulator --seeds 10000             # a long run
    python -m tests.simulator --seed 4711               # one schedule, step by step
    python -m tests.simulator --seed 4711 --keep 3,9    # of its steps only these

A schedule that fails is made smaller first, and the command that runs it is printed. `mutations` break one rule of
the product each, and the suite demands that each is found.
"""
