"""Looks for keys in all that is logged while the tests run, down to DEBUG, and in what programs print as errors."""

from __future__ import annotations

import logging
import re

#: Keys that servers make, and those that tests make up; nothing of ours may show them.
_KEY = re.compile(r"flagent_(?:admin|server|client)_[0-9A-Za-z]{16,}|\bsecret-key\b")
#: Who logs: ourselves, and the libraries that see requests with their headers.
_LOGGERS = ("flagent", "httpx2", "httpcore2", "uvicorn")


class SecretWatch(logging.Handler):
    """Remembers the records that show a key.

    Attributes:
        found: what they say, without the key.
        seen: how many records were looked at.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []
        self.seen = 0
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record, with its traceback and everything that came with it."""
        self.seen += 1
        text = f"{self.format(record)} {record.__dict__}"
        if _KEY.search(text):
            self.found.append(_KEY.sub("KEY", text))

    def attach(self) -> None:
        """Look at everything from now on."""
        logging.getLogger().addHandler(self)
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.DEBUG)

    def taken(self) -> list[str]:
        """Return what was found, and forget it."""
        found, self.found = self.found, []
        return found


def check_output(text: str) -> None:
    """Fail if a program has printed a key."""
    assert not _KEY.search(text), f"a key is shown: {_KEY.sub('KEY', text)}"


#: That of this test process.
watch = SecretWatch()
