"""What costs moto much, and is of no use here, taken out: its answers stay the same.

Held by `test_sandbox_moto.py`, which compares with an untouched moto.
"""

import copy
import functools
from typing import Any

import yaml
from botocore.model import StructureShape
from cryptography.hazmat.primitives.asymmetric import rsa
from moto import backends
from moto.cloudformation.utils import yaml_tag_constructor
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

# Members of a DynamoDB value that moto keeps just as they are sent; maps and lists may hold bytes.
AS_SENT = {"S", "N", "BOOL", "NULL"}


def make_moto_quick() -> None:
    """Patch the moto of this process."""
    _quick_deployments()
    _quick_calls()
    _quick_values()
    _quick_queries()
    _quick_transactions()


def _quick_deployments() -> None:
    """Two thirds of a deployment are parsing YAML in Python and making an RSA key for the table, which nobody uses."""
    rsa.generate_private_key = functools.cache(rsa.generate_private_key)
    if yaml.__with_libyaml__:
        yaml.add_multi_constructor("", yaml_tag_constructor, Loader=yaml.CLoader)
        setattr(yaml, "Loader", yaml.CLoader)  # noqa: B010 mypy would not have a class assigned


def _quick_calls() -> None:
    """An eighth of every call is reading from the disk which services there are."""
    services = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services


def _quick_values() -> None:
    """Every value of an item is looked up under thirty names that it might have; it is as it was sent."""
    slow = BaseJSONSerializer._serialize_type_structure

    def quick(self: Any, serialized: Any, value: Any, shape: StructureShape, key: str) -> None:
        if shape.name == "AttributeValue" and isinstance(value, dict) and value.keys() <= AS_SENT:
            self._default_serialize(serialized, value, shape, key)
        else:
            slow(self, serialized, value, shape, key)

    setattr(BaseJSONSerializer, "_serialize_type_structure", quick)  # noqa: B010 as above


def _quick_queries() -> None:
    """A query sorts the whole table, to find the items of one partition."""
    slow = Table.query

    @functools.wraps(slow)
    def quick(self: Table, hash_key: DynamoType | None, *args: Any, **options: Any) -> Any:
        partition = copy.copy(self)
        if options.get("index_name") is None:
            partition.items = {hash_key: self.items.get(hash_key, {})}  # type: ignore[assignment]
        return slow(partition, hash_key, *args, **options)

    setattr(Table, "query", quick)  # noqa: B010 as above


def _quick_transactions() -> None:
    """A transaction copies every item of the table, to go back to; so it copies the item that an update changes."""
    slow = DynamoDBBackend.update_item

    def shallow(self: Table, memo: dict[int, Any]) -> Table:
        copied = copy.copy(self)
        copied.items = copy.copy(self.items)
        copied.items.update({key: copy.copy(partition) for key, partition in self.items.items()})
        return copied

    @functools.wraps(slow)
    def update_a_copy(self: DynamoDBBackend, table_name: str, key: dict[str, Any], *args: Any, **options: Any) -> Any:
        table = self.get_table(table_name)
        partition = table.items[DynamoType(key[table.hash_key_attr])]
        at = DynamoType(key[str(table.range_key_attr)])
        if at in partition:
            partition[at] = copy.deepcopy(partition[at])
        return slow(self, table_name, key, *args, **options)

    setattr(Table, "__deepcopy__", shallow)  # noqa: B010 as above
    setattr(DynamoDBBackend, "update_item", update_a_copy)  # noqa: B010 as above
