"""Reads YAML strictly, with line numbers: a typing error in a mapping must never be passed over.

Belongs here: walking PyYAML's nodes, duplicate and unknown keys, text values as they are written.
Does not belong here: what the keys mean (see `mapping.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import yaml

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.expressions import suggest


@dataclass(frozen=True)
class Place:
    """A value in the file.

    Attributes:
        file: What messages call the file.
        label: Where in the file, in its own words, such as `fields.item_sku`.
        node: The value.
    """

    file: str
    label: str
    node: yaml.Node

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.node.start_mark.line + 1

    def error(self, problem: str, remedy: str = "") -> MappingError:
        """A MappingError that names file, line and place."""
        return MappingError(f"{self.file}, line {self.line}, {self.label}: {problem}", remedy)

    def is_null(self) -> bool:
        """Is nothing written there, or `null`?"""
        return self.node.tag == "tag:yaml.org,2002:null"

    def is_scalar(self) -> bool:
        """Is it text, a number or nothing, rather than keys or a list?"""
        return isinstance(self.node, yaml.ScalarNode)

    def text(self, empty_allowed: bool = False) -> str:
        """The text as it is written: 055 stays 055, yes stays yes."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.error("must be text")
        if self.is_null() or not (self.node.value or empty_allowed):
            raise self.error("is empty", "write a value or remove the key")
        return str(self.node.value)

    def entries(self, known: Collection[str] | None = None) -> dict[str, Place]:
        """The keys and values of a mapping; keys must be unique and, if `known` is given, known."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error("must hold keys with values")
        found: dict[str, Place] = {}
        for key_node, value_node in self.node.value:
            key = Place(self.file, self.label, key_node).text(empty_allowed=True)
            place = Place(self.file, f"{self.label}.{key}".lstrip("."), value_node)
            at_key = Place(self.file, place.label, key_node)
            if key in found:
                raise at_key.error("the key stands here a second time", "remove one")
            if known is not None and key not in known:
                raise at_key.error(f"the key {key!r} is not known", suggest(key, known))
            found[key] = place
        return found

    def items(self) -> list[Place]:
        """The values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error("must be a list")
        return [Place(self.file, f"{self.label}[{number}]", node) for number, node in enumerate(self.node.value, 1)]


def read_yaml(content: bytes, file: str) -> Place:
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
        raise MappingError(f"{file}, line {line}: this is no YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise MappingError(f"{file} is no YAML: {str(error).splitlines()[0]}") from error
    if node is None:
        raise MappingError(f"{file} is empty")
    return Place(file, "", node)
