"""The SDK: evaluates in process on a snapshot, and keeps the snapshot fresh by the stream of changes."""
