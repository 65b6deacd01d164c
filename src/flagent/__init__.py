"""Real-time feature flags for Python: everything that applications use, and nothing else.

The names are imported when they are first used: `import flagent` costs next to nothing, and the
server and the command line do not load the SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .client.api import AsyncFlagentClient as AsyncFlagentClient
    from .client.api import FlagentClient as FlagentClient
    from .client.async_manager import AsyncManager as AsyncManager
    from .client.async_offline import AsyncOfflineManager as AsyncOfflineManager
    from .client.batches import EvalRequest as EvalRequest
    from .client.callbacks import FlagChange as FlagChange
    from .client.callbacks import ValueChange as ValueChange
    from .client.config import OfflineConfig as OfflineConfig
    from .client.connecting import connect as connect
    from .client.connecting import connect_async as connect_async
    from .client.listeners import Registration as Registration
    from .client.manager import Manager as Manager
    from .client.manager_config import ManagerConfig as ManagerConfig
    from .client.offline import OfflineManager as OfflineManager
    from .client.selection import Filter as Filter
    from .client.snapshots import AsyncSnapshots as AsyncSnapshots
    from .client.snapshots import Snapshots as Snapshots
    from .client.sse_client import AsyncSSEClient as AsyncSSEClient
    from .client.sse_client import SSEClient as SSEClient
    from .client.sse_config import SSEConfig as SSEConfig
    from .client.staleness import StaleListener as StaleListener
    from .client.states import Source as Source
    from .client.states import State as State
    from .client.status import ConnectionState as ConnectionState
    from .client.status import ManagerStatus as ManagerStatus
    from .client.status import Status as Status
    from .client.tls import TLS as TLS
    from .core.changes import EventType as EventType
    from .core.changes import Snapshot as Snapshot
    from .core.explain import ConstraintTrace as ConstraintTrace
    from .core.explain import Explanation as Explanation
    from .core.explain import Range as Range
    from .core.explain import SegmentTrace as SegmentTrace
    from .core.model import Constraint as Constraint
    from .core.model import Distribution as Distribution
    from .core.model import Entity as Entity
    from .core.model import Flag as Flag
    from .core.model import Segment as Segment
    from .core.model import Tag as Tag
    from .core.model import Variant as Variant
    from .core.results import EvalResult as EvalResult
    from .core.results import Reason as Reason
    from .core.results import SegmentLog as SegmentLog
    from .errors import Closed as Closed
    from .errors import ConfigurationError as ConfigurationError
    from .errors import Conflict as Conflict
    from .errors import DecodeError as DecodeError
    from .errors import Diverged as Diverged
    from .errors import EventTooLarge as EventTooLarge
    from .errors import FlagentError as FlagentError
    from .errors import HTTPStatusError as HTTPStatusError
    from .errors import InvalidFlag as InvalidFlag
    from .errors import NotFound as NotFound
    from .errors import NotReady as NotReady
    from .errors import Refused as Refused
    from .errors import StorageUnavailable as StorageUnavailable
    from .errors import StreamBroken as StreamBroken
    from .errors import TransportError as TransportError
    from .wire.events import FlagEvent as FlagEvent

_NAMES = {
    "client.api": "AsyncFlagentClient FlagentClient",
    "client.async_manager": "AsyncManager",
    "client.async_offline": "AsyncOfflineManager",
    "client.batches": "EvalRequest",
    "client.callbacks": "FlagChange ValueChange",
    "client.config": "OfflineConfig",
    "client.connecting": "connect connect_async",
    "client.listeners": "Registration",
    "client.manager": "Manager",
    "client.manager_config": "ManagerConfig",
    "client.offline": "OfflineManager",
    "client.selection": "Filter",
    "client.snapshots": "AsyncSnapshots Snapshots",
    "client.sse_client": "AsyncSSEClient SSEClient",
    "client.sse_config": "SSEConfig",
    "client.staleness": "StaleListener",
    "client.states": "Source State",
    "client.status": "ConnectionState ManagerStatus Status",
    "client.tls": "TLS",
    "core.changes": "EventType Snapshot",
    "core.explain": "ConstraintTrace Explanation Range SegmentTrace",
    "core.model": "Constraint Distribution Entity Flag Segment Tag Variant",
    "core.results": "EvalResult Reason SegmentLog",
    "errors": "Closed ConfigurationError Conflict DecodeError Diverged EventTooLarge FlagentError HTTPStatusError "
    "InvalidFlag NotFound NotReady Refused StorageUnavailable StreamBroken TransportError",
    "wire.events": "FlagEvent",
}
#: The module of each public name.
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    # Found without this function from now on.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names are those above
