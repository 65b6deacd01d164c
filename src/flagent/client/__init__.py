"""The SDK: evaluates in process on a snapshot, and keeps the snapshot fresh by the stream of changes."""

from .api import AsyncFlagentClient, FlagentClient
from .async_manager import AsyncManager
from .async_offline import AsyncOfflineManager
from .config import ManagerConfig, OfflineConfig, SSEConfig
from .connecting import connect, connect_async
from .listeners import FlagChange, Registration, ValueChange
from .local import EvalRequest
from .manager import Manager
from .offline import OfflineManager
from .selection import Filter
from .snapshots import AsyncSnapshots, Snapshots
from .sse_client import AsyncSSEClient, SSEClient
from .staleness import StaleListener
from .status import ConnectionState, ManagerStatus, Source, State, Status
from .tls import TLS

__all__ = [
    "TLS",
    "AsyncFlagentClient",
    "AsyncManager",
    "AsyncOfflineManager",
    "AsyncSSEClient",
    "AsyncSnapshots",
    "ConnectionState",
    "EvalRequest",
    "Filter",
    "FlagChange",
    "FlagentClient",
    "Manager",
    "ManagerConfig",
    "ManagerStatus",
    "OfflineConfig",
    "OfflineManager",
    "Registration",
    "SSEClient",
    "SSEConfig",
    "Snapshots",
    "Source",
    "StaleListener",
    "State",
    "Status",
    "ValueChange",
    "connect",
    "connect_async",
]
