"""What the routes work with, made once when the server starts."""

from __future__ import annotations

from dataclasses import dataclass

from .broadcast import Broadcaster
from .editor import Editor
from .gate import Gate
from .hub import Hub
from .metrics import Metrics
from .settings import Settings
from .siblings import Siblings
from .storage import Storage


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may need; Starlette's routes find it as `request.app.state.services`."""

    settings: Settings
    storage: Storage
    hub: Hub
    editor: Editor
    broadcaster: Broadcaster
    gate: Gate
    metrics: Metrics
    siblings: Siblings
