"""No key gets into a log. Every test of the suite is looked at; these show that looking finds one."""

from __future__ import annotations

import logging

import pytest
from rest import Rest
from secret_watch import SecretWatch, check_output, watch

import flagent
from flagent import FlagentClient, OfflineManager

_KEY = "flagent_server_" + "x" * 32


def test_a_key_in_a_record_is_found_wherever_it_is() -> None:
    found = SecretWatch()
    logger = logging.getLogger("another.program")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(found)

    logger.debug("a key: %s", _KEY)
    logger.info("headers", extra={"headers": {"Authorization": f"Bearer {_KEY}"}})
    try:
        raise ValueError(_KEY)
    except ValueError:
        logger.exception("it failed")
    logger.debug("no key: flagent_server_")

    assert len(found.taken()) == 3
    assert found.seen == 4


def test_a_key_that_a_program_prints_is_found() -> None:
    check_output("nothing")
    with pytest.raises(AssertionError, match="KEY"):
        check_output(f"Bearer {_KEY}")


def test_whole_life_of_a_manager_with_a_key_is_logged_without_it(start_server: object, tmp_path: object) -> None:
    before = watch.seen
    server = start_server()  # type: ignore[operator]
    with Rest(server) as rest:
        rest.flag("new_feature", template="simple_boolean_flag")
    with flagent.connect(server.url, api_key=_KEY) as manager:
        manager.refresh()
        repr(manager)
        str(manager.status)
    with pytest.raises(flagent.FlagentError) as failure, OfflineManager(FlagentClient("http://127.0.0.1:9", _KEY)):
        pass

    assert _KEY not in repr(failure.value)
    assert watch.seen > before + 10
