"""The deployment's files, as what they come to."""

import re
from typing import Any

import yaml

from jwo_catalog_pipeline_tests.support import DEPLOY

TEMPLATE = DEPLOY / "cloudformation.yaml"


class TemplateLoader(yaml.SafeLoader):
    """Reads `!Ref x` as `{"Ref": x}`."""


def _tag(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


TemplateLoader.add_multi_constructor("!", _tag)


def resolved(value: Any, parameters: dict[str, str], conditions: dict[str, bool]) -> Any:
    """Carry out `Ref` of parameters and `If`; the rest stays as it is."""
    if isinstance(value, list):
        found = [resolved(one, parameters, conditions) for one in value]
        return [one for one in found if one != {"Ref": "AWS::NoValue"}]
    if not isinstance(value, dict):
        return value
    if "If" in value:
        condition, yes, no = value["If"]
        return resolved(yes if conditions[condition] else no, parameters, conditions)
    if isinstance(value.get("Ref"), str) and value["Ref"] in parameters:
        return parameters[value["Ref"]]
    found = {key: resolved(one, parameters, conditions) for key, one in value.items()}
    return {key: one for key, one in found.items() if one != {"Ref": "AWS::NoValue"}}


def _conditions(template: dict[str, Any], given: dict[str, Any]) -> dict[str, bool]:
    """Which conditions hold; each says that a parameter is something, or is not."""
    conditions = {}
    for name, condition in template["Conditions"].items():
        reference, value = condition.get("Equals") or condition["Not"][0]["Equals"]
        conditions[name] = (given[reference["Ref"]] == value) is ("Equals" in condition)
    return conditions


def template_resources(**parameters: str) -> dict[str, Any]:
    template = yaml.load(TEMPLATE.read_text(), TemplateLoader)
    given = {name: parameters.get(name, found["Default"]) for name, found in template["Parameters"].items()}
    conditions = _conditions(template, given)
    resources = {
        name: found for name, found in template["Resources"].items() if conditions.get(found.get("Condition"), True)
    }
    return {name: resolved(found, given, conditions)["Properties"] for name, found in resources.items()}


def allowed_statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [statement for statement in document["Statement"] if statement["Effect"] == "Allow"]


def ecs(**parameters: str) -> dict[str, Any]:
    """Resources by name: type, and resolved properties; that of a load balancer always."""
    template = yaml.load((DEPLOY / "ecs.yaml").read_text(), TemplateLoader)
    given = {
        name: str(parameters.get(name, found.get("Default", name))) for name, found in template["Parameters"].items()
    }
    conditions = _conditions(template, given)
    return {
        name: resolved(found, given, conditions)
        for name, found in template["Resources"].items()
        if conditions.get(found.get("Condition"), True) or found["Condition"] == "HasUiSource"
    }


def dockerfile(word: str) -> list[str]:
    """What follows a word of the Dockerfile, in its order."""
    return re.findall(rf"^{word} (.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
