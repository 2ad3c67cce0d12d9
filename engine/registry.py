"""Tables of named parts, filled by decorators.

A part's knobs are the keyword-only arguments of its constructor, annotated with pydantic's
`Field`: range, meaning and default come from there, and so do forms, help and checks.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from engine.errors import SpecError, explain

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered part.

    Attributes:
        facts: what a form must know before the part is built, as in `{"needs": ("teacher",)}`.
    """

    kind: str
    name: str
    title: str
    source: str
    build: Callable[..., T]
    aliases: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def help(self) -> str:
        """The first paragraph of the part's docstring."""
        return (inspect.getdoc(self.build) or "").split("\n\n")[0].replace("\n", " ")

    @cached_property
    def knobs(self) -> type[BaseModel]:
        """A model with one field for each knob."""
        target = self.build.__init__ if inspect.isclass(self.build) else self.build
        hints = get_type_hints(target, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints[name], parameter.default)
            for name, parameter in inspect.signature(target).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
        return create_model(f"{self.kind}_{self.name}", __config__=config, **fields)

    def check(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The chosen knobs, converted to their types.

        Raises:
            SpecError: a knob does not exist or lies outside its range.
        """
        try:
            return self.knobs.model_validate(dict(chosen)).model_dump(include=set(chosen))
        except ValidationError as error:
            raise explain(error, self.knobs, self.name) from None

    def make(self, *given: Any, knobs: Mapping[str, Any] = MappingProxyType({})) -> T:
        """Build the part from what it needs and the chosen knobs."""
        return self.build(*given, **self.check(knobs))

    def describe(self) -> dict[str, Any]:
        """The entry as plain data: what the catalogue holds."""
        schema = self.knobs.model_json_schema()
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "help": self.help,
            "aliases": list(self.aliases),
            "knobs": schema.get("properties", {}),
            "facts": {name: value for name, value in self.facts.items() if _is_plain(value)},
        }


class Registry(Generic[T]):
    """Names to parts of one kind. Look-ups forgive case, hyphens and underscores.

    Raises:
        SpecError: two parts share a name, or a name is unknown.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}
        self._families: list[tuple[re.Pattern[str], Callable[..., Entry[T]]]] = []

    def register(
        self, name: str, *, title: str, source: str, aliases: tuple[str, ...] = (), **facts: Any
    ) -> Callable[[F], F]:
        """Decorate the class or function that builds the part."""

        def add(part: F) -> F:
            if name in self._entries:
                raise SpecError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = Entry(
                self.kind, name, title, source, part, aliases, MappingProxyType(facts)
            )
            return part

        return add

    def register_family(self, pattern: str) -> Callable[[F], F]:
        """Decorate a function that makes an entry from the groups of a name's match.

        For names with numbers in them, as in `wrn_28_10`. Only the entries that are
        registered by name are listed.
        """

        def add(make_entry: F) -> F:
            self._families.append((re.compile(pattern), make_entry))
            return make_entry

        return add

    def __getitem__(self, name: str) -> Entry[T]:
        if name in self._entries:
            return self._entries[name]
        squeezed = _squeeze(name)
        found = [
            entry
            for entry in self._entries.values()
            if squeezed in map(_squeeze, (entry.name, *entry.aliases))
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise SpecError(
                f"{self.kind} {name!r} may be {' or '.join(entry.name for entry in found)};"
                " write it as one of these"
            )
        for pattern, make_entry in self._families:
            if match := pattern.fullmatch(name.lower().replace("-", "_")):
                return make_entry(*match.groups())
        raise SpecError(f"no {self.kind} {name!r}; known: {', '.join(self._entries)}")

    def __contains__(self, name: str) -> bool:
        try:
            self[name]
        except SpecError:
            return False
        return True

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)


def import_siblings(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that its decorators run."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")


def _squeeze(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _is_plain(value: Any) -> bool:
    """Whether a form could use it: facts may also hold what only the engine understands."""
    if isinstance(value, Mapping):
        return all(_is_plain(inner) for inner in value.values())
    if isinstance(value, tuple):
        return all(isinstance(inner, str | int | float) for inner in value)
    return isinstance(value, str | int | float)
