"""The SDK: evaluates in process on a snapshot, and keeps the snapshot fresh by the stream of changes."""

from .api import AsyncFlagentClient, FlagentClient
from .async_offline import AsyncOfflineManager
from .config import OfflineConfig, SSEConfig
from .connecting import connect, connect_async
from .listeners import FlagChange, Registration, ValueChange
from .local import EvalRequest
from .offline import OfflineManager
from .sse_client import AsyncSSEClient, SSEClient
from .status import ConnectionState, Source, State, Status

__all__ = [
    "AsyncFlagentClient",
    "AsyncOfflineManager",
    "AsyncSSEClient",
    "ConnectionState",
    "EvalRequest",
    "FlagChange",
    "FlagentClient",
    "OfflineConfig",
    "OfflineManager",
    "Registration",
    "SSEClient",
    "SSEConfig",
    "Source",
    "State",
    "Status",
    "ValueChange",
    "connect",
    "connect_async",
]
