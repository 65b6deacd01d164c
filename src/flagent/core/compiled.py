"""Flags as generated functions: the fast form of `interpreter`, which it has to agree with.

`decider(flag)` returns a function of an entity's id and a context. It does not build a result for each call: all that
a flag can answer is there before, without the entity's id, and shared. The source of the function depends only on the
*shape* of the flag: how many segments and conditions there are, with which operators, on how many properties, and
into how many parts the buckets are cut. What is different from flag to flag (names, values, bounds, results) are
constants, which the function has as defaults of its last parameters; so few sources have to be compiled, however many
flags there are. For two segments, the first with `country EQ ..` and `age GTE ..` and two variants in equal parts, the
other for the rest, it is

    def decide(entity, context, slow, k0, k1, k2, k3, k4, k5, k6, k7, k8):
        if type(entity) is not str or not entity: return slow(entity, context)
        if type(context) is not dict:
            if context is not None: return slow(entity, context)
            context = NOTHING
        try:
            v0 = context.get(k1)
            if type(v0) is not str and v0 is not None: v0 = texted(v0)
            v1 = context.get(k3)
            if type(v1) is not int and type(v1) is not float: v1 = numbered(v1)
            if (v0 == k0) and (v1 >= k2):
                n = crc32(entity.encode(), k4) % 1000
                if n < k6: return k5
                return k7
            return k8
        except Exception: return slow(entity, context)

The rules that make it agree:

* Only plain texts as ids and plain dicts as contexts are dealt with. All else, and whatever raises, is left to the
  interpreter (`slow`), which begins anew.
* Each property is read once, as a text (None when it is missing, `NO_TEXT` when it has none, such as a list), as a
  number (NaN when it is none, which compares false), or as it is. Patterns come after the other conditions of a
  segment, and look at what is `remembered` first.
* CRC-32 goes on from the state after the flag's own part of what is hashed, and n is the bucket less one.
* A run of segments with one EQ each, on the same property, and one outcome each, is one look-up in a dict.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any, NamedTuple
from zlib import crc32

from .bucketing import BUCKETS, Placement, in_rank_order, placements
from .conditions import READINGS, TEXT, condition_source, numbered, texted
from .interpreter import Interpreter, decided_for_all, result_with_variant, result_without_variant
from .model import Constraint, Flag, Segment
from .results import EvalResult, Reason

#: Takes an entity's id and a context; the result has no entity's id.
Decider = Callable[[Any, Any], EvalResult]

#: From here on segments that look at one property are a table; and a source with this many constants is too long.
_TABLE_FROM, _MOST_CONSTANTS = 3, 1000
#: The most parts of the buckets that are compared one by one.
_MOST_CUTS = 6


def decider(flag: Flag) -> Decider:
    """Return the function that tells what the flag is for an entity in a context; it never raises."""
    slow = _Slow(flag)
    writer = _Writer(flag)
    writer.write()
    if len(writer.constants) > _MOST_CONSTANTS:
        return slow
    code = _compiled(tuple(writer.lines), len(writer.constants))
    made: Decider = FunctionType(code, GLOBALS, "decide", (slow, *writer.constants))
    return made


def only_result(decide: Decider) -> EvalResult | None:
    """Return what a decider says to whoever has a plain id and context, if that is always the same; else None."""
    # Whatever depends on anything needs a constant besides its results: a property's name, or a state to hash from.
    constants = decide.__defaults__[1:] if isinstance(decide, FunctionType) and decide.__defaults__ else ()
    return constants[0] if len(constants) == 1 else None


class _Slow:
    """Leaves a call to the interpreter."""

    __slots__ = ("_flag", "_interpreter")

    def __init__(self, flag: Flag) -> None:
        self._flag = flag
        self._interpreter: Interpreter | None = None

    def __call__(self, entity: Any, context: Any) -> EvalResult:
        interpreter = self._interpreter
        if interpreter is None:
            interpreter = self._interpreter = Interpreter(self._flag)
        return interpreter.evaluate(entity, context)


class _Writer:
    """Writes the body of a flag's function, and collects its constants.

    Attributes:
        lines: the lines of the body, which are the flag's shape.
        constants: what `k0`, `k1` and so on are.
    """

    def __init__(self, flag: Flag) -> None:
        self.lines: list[str] = []
        self.constants: list[Any] = []
        self._flag = flag
        self._variables: dict[tuple[str, str], str] = {}
        self._results: dict[tuple[int, int] | None, EvalResult] = {}
        self._names: dict[int, str] = {}

    def write(self) -> None:
        """Write all of it."""
        decided = decided_for_all(self._flag)
        if decided is not None:
            self.lines.append(f"return {self._constant(result_without_variant(self._flag, *decided))}")
            return
        self._add("if type(entity) is not str or not entity: return slow(entity, context)")
        if any(map(_constraints, self._flag.segments)):
            self._add("if type(context) is not dict:")
            self._add(" if context is not None: return slow(entity, context)")
            self._add(" context = NOTHING")
        self._add("try:")
        rollout = self._flag.rollout
        self._segments([_Planned(each, placements(each, rollout)) for each in in_rank_order(self._flag)])
        self._add("except Exception: return slow(entity, context)")

    def _segments(self, planned: list[_Planned]) -> None:
        # Hashed where it is needed, if that is one place only.
        early = len(planned) > 1 and sum(len(each.runs) > 1 for each in planned) > 1
        if early:
            self._hash(" ")
        at = 0
        while at < len(planned):
            end = _end_of_table(planned, at) if len(planned) - at >= _TABLE_FROM else at
            if end - at >= _TABLE_FROM:
                self._table(planned[at:end])
                at = end
                continue
            segment = planned[at].segment
            self._placements(planned[at], self._conditions(segment), hashed=early)
            if not segment.constraints and planned[at].runs[-1][1].final:
                return
            at += 1
        self._add(f" return {self._result(_NOBODY)}")

    def _placements(self, planned: _Planned, indent: str, *, hashed: bool) -> None:
        """Write what a segment decides when its conditions hold."""
        *cuts, (_, last) = planned.runs
        if cuts and not hashed:
            self._hash(indent)
        if len(cuts) > _MOST_CUTS:
            bounds = self._constant(tuple(bound for bound, _ in cuts))
            results = self._constant(tuple(self._made(planned.segment, each) for _, each in planned.runs if each.final))
            within = "" if last.final else f"if n < {self._constant(cuts[-1][0])}: "
            self._add(f"{indent}{within}return {results}[bisect_right({bounds}, n)]")
            return
        for bound, placement in cuts:
            result = self._result(placement, planned.segment)
            self._add(f"{indent}if n < {self._constant(bound)}: return {result}")
        self._add(f"{indent}return {self._result(last, planned.segment)}" if last.final else f"{indent}pass")

    def _table(self, planned: list[_Planned]) -> None:
        table: dict[str, EvalResult] = {}
        for segment, ((_, placement),) in planned:
            # Of equal values the first one counts.
            table.setdefault(segment.constraints[0].value, self._made(segment, placement))
        value = self._read(TEXT, planned[0].segment.constraints[0].property)
        self._add(f" found = {self._constant(table)}.get({value})")
        self._add(" if found is not None: return found")

    def _conditions(self, segment: Segment) -> str:
        """Write the conditions of a segment; return the indentation of what it decides when they hold."""
        if not segment.constraints:
            return " "
        # All that is read comes before what is indented, and patterns, which take the longest, after all the rest.
        written = [self._condition(each) for each in segment.constraints]
        indent = " "
        if quick := " and ".join(f"({source})" for before, source in written if not before):
            self._add(f"{indent}if {quick}:")
            indent += " "
        for before, source in written:
            if before:
                self.lines += [indent + line for line in (*before.split("\n"), f"if {source}:")]
                indent += " "
        return indent

    def _condition(self, constraint: Constraint) -> tuple[str, str]:
        """Return the lines that come before a condition, and the condition."""
        condition = condition_source(constraint)
        if not condition.reading:
            return "", condition.source
        names = [self._constant(constant) for constant in condition.constants]
        value = self._read(condition.reading, constraint.property)
        return condition.before.format(*names, v=value), condition.source.format(*names, v=value)

    def _read(self, reading: str, name: str) -> str:
        """Return the variable with a property, which is read here if it was not read before."""
        variable = self._variables.get((reading, name))
        if variable is None:
            variable = self._variables[reading, name] = f"v{len(self._variables)}"
            self._add(f" {variable} = context.get({self._constant(name)})")
            if READINGS[reading]:
                self._add(f" {READINGS[reading].format(v=variable)}")
        return variable

    def _hash(self, indent: str) -> None:
        state = self._constant(crc32(str(self._flag.id).encode()))
        self._add(f"{indent}n = crc32(entity.encode(), {state}) % {BUCKETS}")

    def _result(self, placement: Placement, segment: Segment | None = None) -> str:
        result = self._made(segment, placement)
        name = self._names.get(id(result))
        if name is None:
            name = self._names[id(result)] = self._constant(result)
        return name

    def _made(self, segment: Segment | None, placement: Placement) -> EvalResult:
        which = None if segment is None or placement.variant_id is None else (segment.id, placement.variant_id)
        made = self._results.get(which)
        if made is None:
            flag = self._flag
            made = self._results[which] = (
                result_without_variant(flag, Reason.NO_MATCH, "")
                if which is None
                else result_with_variant(flag, *which)
            )
        return made

    def _constant(self, value: Any) -> str:
        self.constants.append(value)
        return f"k{len(self.constants) - 1}"

    def _add(self, line: str) -> None:
        self.lines.append(line)


class _Planned(NamedTuple):
    """A segment, and what it decides for which buckets."""

    segment: Segment
    runs: tuple[tuple[int, Placement], ...]


def _end_of_table(planned: list[_Planned], start: int) -> int:
    """Return where a run of segments ends that one look-up can decide; `start` when there is none."""
    end, name = start, None
    for segment, runs in planned[start:]:
        if len(segment.constraints) != 1 or len(runs) != 1 or not runs[0][1].final:
            break
        constraint = segment.constraints[0]
        if constraint.operator != "EQ" or name not in (None, constraint.property):
            break
        name = constraint.property
        end += 1
    return end


# The sources have nothing of a flag in them, only what stands in this file.


@lru_cache(maxsize=1024)
def _compiled(lines: tuple[str, ...], constants: int) -> CodeType:
    """Return the code of a function; kept, because most flags have the shape of another one."""
    names = "".join(f", k{number}" for number in range(constants))
    # Its docstring, which `everything` makes another function of.
    body = "\n".join(lines)
    source = f"def decide(entity, context, slow{names}):\n {body!r}\n " + "\n ".join(lines)
    made: dict[str, Any] = {}
    exec(compile(source, "<flag>", "exec", optimize=0), made)  # noqa: S102 - see above
    code: CodeType = made["decide"].__code__
    return code


_constraints = attrgetter("constraints")
_NOBODY = Placement(None, final=True)
_NO_CONTEXT: Mapping[str, Any] = {}

#: What the functions know by name.
GLOBALS: dict[str, Any] = {
    "NOTHING": _NO_CONTEXT,
    "bisect_right": bisect_right,
    "crc32": crc32,
    "dict": dict,
    "float": float,
    "int": int,
    "len": len,
    "numbered": numbered,
    "str": str,
    "texted": texted,
    "type": type,
    "zip": zip,
    "Exception": Exception,
    "TypeError": TypeError,
    "__builtins__": {},
}
