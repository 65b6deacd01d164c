"""The SDK: evaluates in process on a snapshot, and keeps the snapshot fresh by the stream of changes."""

from .api import AsyncFlagentClient, FlagentClient
from .async_offline import AsyncOfflineManager
from .config import OfflineConfig, SSEConfig
from .connecting import connect, connect_async
from .local import EvalRequest
from .offline import OfflineManager
from .sse_client import AsyncSSEClient, SSEClient
from .status import ConnectionState, State, Status

__all__ = [
    "AsyncFlagentClient",
    "AsyncOfflineManager",
    "AsyncSSEClient",
    "ConnectionState",
    "EvalRequest",
    "FlagentClient",
    "OfflineConfig",
    "OfflineManager",
    "SSEClient",
    "SSEConfig",
    "State",
    "Status",
    "connect",
    "connect_async",
]
