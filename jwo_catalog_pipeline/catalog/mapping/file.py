"""Reads YAML strictly, with line numbers: a typing error in a mapping must never be passed over.

Belongs here: walking PyYAML's nodes, values as they are written, and the messages for what pydantic finds wrong.
Does not belong here: what the keys mean (see `model.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class YamlNode:
    """A value in the file.

    Attributes:
        file: What messages call the file.
        label: Where in the file, in its own words, such as `fields.item_sku`; "" for the whole file.
        node: The value.
        key: The key before it; None for the whole file and for what stands in a list.
    """

    file: str
    label: str
    node: yaml.Node
    key: yaml.Node | None = None

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.node.start_mark.line + 1

    def error(self, problem: str, remedy: str = "") -> MappingError:
        """A MappingError that names file, line and place."""
        place = f", {self.label}" if self.label else ""
        return MappingError(f"{self.file}, line {self.line}{place}: {problem}", remedy)

    # These two are cached: each of many errors in a long lookup is found from the root.
    @cached_property
    def entries(self) -> dict[str, YamlNode]:
        """The values of a mapping by their keys.

        Raises:
            MappingError: a key is no text, or stands there twice.
        """
        nodes: dict[str, YamlNode] = {}
        for key, value in self.node.value:
            if not isinstance(key, yaml.ScalarNode) or _is_null(key):
                raise replace(self, node=key).error("a key is no text", "put it in quotes")
            label = f"{self.label}.{key.value}".lstrip(".")
            if key.value in nodes:
                raise replace(self, label=label, node=key).error("the key stands here a second time", "remove one")
            nodes[key.value] = YamlNode(self.file, label, value, key)
        return nodes

    @cached_property
    def items(self) -> list[YamlNode]:
        """The values of a list."""
        return [YamlNode(self.file, f"{self.label}[{number}]", node) for number, node in enumerate(self.node.value, 1)]

    def at(self, location: Iterable[str | int]) -> YamlNode:
        """The value at a location of pydantic's, or the last one on the way there that the file has.

        A location holds more than keys and indices, such as the tags of a union; the file has none of these.
        """
        node = self
        for part in location:
            if isinstance(node.node, yaml.SequenceNode) and isinstance(part, int):
                node = node.items[part]
            elif isinstance(node.node, yaml.MappingNode):
                node = node.entries.get(str(part), node)
        return node

    def plain(self, made: dict[int, Any] | None = None) -> Any:
        """The value as dicts, lists, text and None. Text is as it is written: 055 stays 055, yes stays yes.

        An alias gives the very object of its anchor. Copies would let a few lines fill the memory, or never end.
        """
        made = {} if made is None else made
        if isinstance(self.node, yaml.ScalarNode):
            return None if _is_null(self.node) else str(self.node.value)
        if id(self.node) not in made and isinstance(self.node, yaml.MappingNode):
            keys = made[id(self.node)] = dict[str, Any]()
            keys.update((key, value.plain(made)) for key, value in self.entries.items())
        elif id(self.node) not in made:
            values = made[id(self.node)] = list[Any]()
            values.extend(value.plain(made) for value in self.items)
        return made[id(self.node)]


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def read_yaml(content: bytes, file: str) -> YamlNode:
    """Parse one YAML document; nothing in it is ever made into an object.

    Raises:
        MappingError: it is no UTF-8, no YAML, or empty.
    """
    try:
        node = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise MappingError(f"{file} is not UTF-8 text", "save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise MappingError(
            f"{file}, line {line}: this is no YAML: {error.problem}", "check brackets, quotes and indentation"
        ) from error
    except yaml.YAMLError as error:
        raise MappingError(f"{file} is no YAML: {str(error).splitlines()[0]}", "save it as plain text") from error
    if node is None:
        raise MappingError(f"{file} is empty", "`jwo-catalog mapping init EXPORT` proposes a mapping")
    return YamlNode(file, "", node)


def wrong(problem: str, remedy: str, *place: str | int, at_key: bool = False) -> PydanticCustomError:
    """What a validator raises; `place` leads from the value that it validates to the one that is wrong."""
    context = {"problem": problem, "remedy": remedy, "place": place, "at_key": at_key}
    return PydanticCustomError("wrong", "{problem}; {remedy}", context)


def validated(model: type[Model], root: YamlNode) -> Model:
    """The file as a model.

    Raises:
        MappingError: it is not as the model says; the message is about the first line that is wrong.
    """
    try:
        return model.model_validate(root.plain())
    except ValidationError as failure:
        errors = [(_place(root, detail), detail) for detail in failure.errors(include_url=False)]
    # Not chained: printing a ValidationError prints the values, which aliases can make endless.
    node, error = min(errors, key=lambda pair: pair[0].line)
    raise node.error(*_sentence(error))


def _place(root: YamlNode, error: ErrorDetails) -> YamlNode:
    context = error.get("ctx", {})
    node = root.at((*error["loc"], *context.get("place", ())))
    return replace(node, node=node.key) if context.get("at_key") and node.key else node


def validated_options(model: type[Model], values: dict[str, Any]) -> Model:
    """What a command's options say, as a model of the file's.

    Raises:
        MappingError: they are not as the model says; the message names the option.
    """
    try:
        return model.model_validate(values)
    except ValidationError as failure:
        error = failure.errors(include_url=False)[0]
    # Not chained, as in `validated`.
    option = str(error["loc"][-1]).replace("_", "-") if error["loc"] else "the options"
    problem, remedy = _sentence(error)
    raise MappingError(f"--{option} {problem}", remedy)


# What replaces the messages of pydantic's own checks: https://docs.pydantic.dev/latest/errors/validation_errors/
_SENTENCES = {
    "string_unicode": ("holds a character that is not text", "remove it, and save the file as UTF-8"),
    "string_type": ("must be text", "write one value, not a list and not keys"),
    "string_pattern_mismatch": ("is not a version that is known", "it must be `version: 1`"),
    "union_tag_invalid": ("must be one expression", "write text, or keys with `expr`, not a further list"),
    "list_type": ("must be a list", "write [a, b], or each value on a line of its own after a dash"),
    "dict_type": ("must hold keys with values", "write each as `key: value`"),
    "model_type": ("must hold keys with values", "write each as `key: value`"),
}
# For keys that cannot be left out or left empty.
_REMEDIES = {
    "version": "write `version: 1`",
    "fields": "map the required fields below it",
    "expr": "write the SQL expression there",
    "stores": "list the stores, or map fields.store_id",
    "values": "list what becomes what, or remove the key",
}


def _sentence(error: ErrorDetails) -> tuple[str, str]:
    """Problem and remedy."""
    # The tag of a union begins with a space (see `language.py`).
    keys = [str(part) for part in error["loc"] if not str(part).startswith(" ")]
    kind, key = error["type"], keys[-1] if keys else ""
    if kind == "wrong":
        return error["ctx"]["problem"], error["ctx"]["remedy"]
    if kind == "missing" and key in ITEM_FIELDS:
        return not_mapped(key), f"add `{key}:` with a column"
    if kind == "missing":
        return f"the key {key!r} is missing", _REMEDIES.get(key, "add it")
    if error["input"] is None or kind in ("too_short", "string_too_short"):
        return "is empty", _REMEDIES.get(key, "write a value or remove the key")
    if kind == "string_too_long":
        return f"must be one character and is {error['input']!r}", "write a single one"
    return _SENTENCES.get(kind, (error["msg"], ""))


def not_mapped(field: str) -> str:
    """The problem that a required field is in none of its places."""
    return f"the required field {field!r} is not mapped: {ITEM_FIELDS[field].rstrip('.')}"
