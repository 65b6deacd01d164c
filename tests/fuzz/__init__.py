"""Bytes from strangers: what reads them never crashes, never hangs, and takes no more memory than it may.

`targets` has the functions that eat bytes, `record` makes their seeds by talking to a real server, `failed` holds every
input that ever made one fail. `scripts/fuzz` runs them under a fuzzer that is guided by coverage (`__main__`);
`test_targets` runs them in continuous integration, on the seeds and what Hypothesis makes of them.
"""
