"""What a process holds, and when it may be replaced: values in, values out."""

from __future__ import annotations

import pytest

from flagent.client.replica import Replica
from flagent.core.changes import Change, Cursor, Delta, EventType, Snapshot
from flagent.core.evaluation import Ruleset
from flagent.core.model import Flag
from flagent.errors import Diverged
from flagent.wire.feed import Checkpoint


class Clock:
    """Seconds as a test sets them."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def ruleset(revision: int, *keys: str, epoch: str = "e") -> Ruleset:
    flags = [Flag(number, key) for number, key in enumerate(keys, 1)]
    return Ruleset.compile(Snapshot.of(epoch, revision, flags))


def created(revision: int, number: int, key: str, digest: int = 0) -> Change:
    return Change(revision, EventType.FLAG_CREATED, number, key, Flag(number, key), digest=digest)


@pytest.fixture
def replica() -> Replica:
    held = Replica(Clock())
    assert held.replace(ruleset(5, "a"), '"e:5;full"')
    return held


def keys_of(replica: Replica) -> set[str]:
    assert replica.ruleset is not None
    return set(replica.ruleset.snapshot.flags)


@pytest.mark.covers("F44", "G2", "I2")
def test_older_snapshot_of_the_same_log_is_not_taken(replica: Replica) -> None:
    assert not replica.replace(ruleset(4, "b"), None)

    assert keys_of(replica) == {"a"}


def test_snapshot_of_the_same_revision_is_taken(replica: Replica) -> None:
    assert replica.replace(ruleset(5, "b"), None)

    assert keys_of(replica) == {"b"}


@pytest.mark.covers("F45")
def test_snapshot_of_another_log_is_taken_whatever_its_revision(replica: Replica) -> None:
    assert replica.replace(ruleset(1, "b", epoch="f"), None)

    assert replica.cursor == Cursor("f", 1)


@pytest.mark.covers("F40", "G7")
def test_change_that_is_known_already_is_passed_over(replica: Replica) -> None:
    held = replica.ruleset

    replica.apply(created(5, 2, "b"), Cursor("e", 5), verify=True, partial=False)

    assert replica.ruleset is held


@pytest.mark.covers("F41", "G4")
def test_change_with_a_wrong_digest_is_not_applied_and_counted(replica: Replica) -> None:
    with pytest.raises(Diverged):
        replica.apply(created(6, 2, "b", digest=1), Cursor("e", 6), verify=True, partial=False)

    assert keys_of(replica) == {"a"}
    assert replica.divergences == 1


def test_change_of_another_log_is_not_applied(replica: Replica) -> None:
    with pytest.raises(Diverged):
        replica.apply(created(6, 2, "b"), Cursor("f", 6), verify=True, partial=False)


def test_change_without_a_snapshot_is_not_applied() -> None:
    with pytest.raises(Diverged):
        Replica(Clock()).apply(created(1, 1, "a"), Cursor("e", 1), verify=True, partial=False)


def test_tag_moves_on_with_the_changes_that_are_applied(replica: Replica) -> None:
    update = Delta(Cursor("e", 5), Cursor("e", 9), None, (Flag(2, "b"),))

    replica.apply(update, update.cursor, verify=True, partial=False)

    assert replica.entity_tag == '"e:9;full"'


def test_after_a_filtered_stream_only_a_snapshot_helps(replica: Replica) -> None:
    replica.apply(created(7, 2, "b"), Cursor("e", 7), verify=False, partial=True)

    # Revision 6 was left out: neither cursor nor tag may claim that it is held.
    assert replica.cursor is None
    assert replica.entity_tag == '"e:5;full"'


@pytest.mark.covers("F50", "G4")
def test_checkpoint_with_another_digest_is_said_until_a_snapshot_was_loaded(replica: Replica) -> None:
    checkpoint = Checkpoint(Cursor("e", 5), 1)

    for _ in range(2):
        with pytest.raises(Diverged):
            replica.check(checkpoint)
    replica.replace(ruleset(5, "a"), None)
    replica.check(checkpoint)

    assert replica.divergences == 2


def test_checkpoint_of_another_revision_says_nothing(replica: Replica) -> None:
    replica.check(Checkpoint(Cursor("e", 6), 1))

    assert replica.divergences == 0


def test_age_counts_from_the_last_confirmation() -> None:
    clock = Clock()
    replica = Replica(clock)
    assert replica.age() is None
    replica.replace(ruleset(1, "a"), None)

    clock.now += 3
    assert replica.age() == 3
    replica.confirm()

    assert replica.age() == 0


def test_cleared_replica_holds_nothing(replica: Replica) -> None:
    replica.clear()

    assert (replica.ruleset, replica.cursor, replica.entity_tag, replica.age()) == (None, None, None, None)


def test_a_deletion_is_told_under_the_key_that_was_held(replica: Replica) -> None:
    told: list[set[str]] = []
    replica.updated = lambda before, after, keys: told.append(set(keys or ()))
    gone = Change(6, EventType.FLAG_DELETED, 1, "misspelt", None, digest=0)

    replica.apply(gone, Cursor("e", 6), verify=True, partial=False)

    assert keys_of(replica) == set()
    assert told == [{"a", "misspelt"}]
