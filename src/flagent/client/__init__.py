"""The SDK: evaluates in process on a snapshot, and keeps the snapshot fresh by the stream of changes.

Its public names are those of the package `flagent`, each imported from its module when it is first used.
"""
