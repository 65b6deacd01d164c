"""Flags as values of a type, with a default for whatever else there is."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Protocol, TypeVar, overload

from ..core.typed import MISSING, Decision, bool_of, float_of, int_of, json_of, str_of

_T = TypeVar("_T")
_Context = Mapping[str, Any] | None


class Deciding(Protocol):
    """Anything that evaluates flags at once."""

    def _decided(self, flag_key: str, entity_id: str, entity_context: _Context = None) -> Decision:
        """Return what a flag is for an entity."""


class TypedValues:
    """Evaluation to values of a type.

    A variant stands for the member `value` of its attachment if it has one, otherwise for what its key
    spells (`on`, `42`, `blue`). The default is the answer when there is no variant, no such flag, no
    snapshot, or a value of another type: a number is never cut, and a text never taken for a number.
    """

    @overload
    def bool_value(self, flag_key: str, entity_id: str, entity_context: _Context = None) -> bool: ...
    @overload
    def bool_value(
        self, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: _T
    ) -> bool | _T: ...
    def bool_value(
        self: Deciding, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: Any = False
    ) -> Any:
        """Return the boolean that the entity's variant stands for.

        Keys that do: `true`, `on`, `yes`, `enabled`, `1`, and `false`, `off`, `no`, `disabled`, `0`, in any case.

        Args:
            flag_key: key of the flag.
            entity_id: who is evaluated.
            entity_context: properties that constraints look at; None for none.
            default: the answer when there is no boolean.
        """
        return _or(bool_of(self._decided(flag_key, entity_id, entity_context)), default)

    @overload
    def str_value(self, flag_key: str, entity_id: str, entity_context: _Context = None) -> str: ...
    @overload
    def str_value(self, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: _T) -> str | _T: ...
    def str_value(
        self: Deciding, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: Any = ""
    ) -> Any:
        """Return the text that the entity's variant stands for: `value` of the attachment, or the variant's key.

        Args:
            flag_key: key of the flag.
            entity_id: who is evaluated.
            entity_context: properties that constraints look at; None for none.
            default: the answer when there is no variant, or its `value` is no text.
        """
        return _or(str_of(self._decided(flag_key, entity_id, entity_context)), default)

    @overload
    def int_value(self, flag_key: str, entity_id: str, entity_context: _Context = None) -> int: ...
    @overload
    def int_value(self, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: _T) -> int | _T: ...
    def int_value(
        self: Deciding, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: Any = 0
    ) -> Any:
        """Return the integer that the entity's variant stands for; 3.0 is one, 3.5 is none.

        Args:
            flag_key: key of the flag.
            entity_id: who is evaluated.
            entity_context: properties that constraints look at; None for none.
            default: the answer when there is no integer.
        """
        return _or(int_of(self._decided(flag_key, entity_id, entity_context)), default)

    @overload
    def float_value(self, flag_key: str, entity_id: str, entity_context: _Context = None) -> float: ...
    @overload
    def float_value(
        self, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: _T
    ) -> float | _T: ...
    def float_value(
        self: Deciding, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: Any = 0.0
    ) -> Any:
        """Return the number that the entity's variant stands for.

        Args:
            flag_key: key of the flag.
            entity_id: who is evaluated.
            entity_context: properties that constraints look at; None for none.
            default: the answer when there is no number that a float can hold.
        """
        return _or(float_of(self._decided(flag_key, entity_id, entity_context)), default)

    def json_value(
        self: Deciding, flag_key: str, entity_id: str, entity_context: _Context = None, *, default: Any = None
    ) -> Any:
        """Return the JSON that the entity's variant stands for: `value` of the attachment, or all of it.

        It is a copy, which may be changed.

        Args:
            flag_key: key of the flag.
            entity_id: who is evaluated.
            entity_context: properties that constraints look at; None for none.
            default: the answer when there is no variant, or it has no attachment.
        """
        return deepcopy(_or(json_of(self._decided(flag_key, entity_id, entity_context)), default))


def _or(value: Any, default: Any) -> Any:
    return default if value is MISSING else value
