"""Finds calls in a module's text that the project forbids, from its syntax tree. No tests here.

Forbidden is what runs foreign bytes as code, what hides errors, what trusts anybody, what may hang for ever, and
reading the environment outside `resources.py`. It is a net against slips, not against malice: it goes by names.
"""

import ast
from collections.abc import Iterator
from functools import cached_property

PICKLES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNSAFE_YAML = {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader"}
CODE = {"eval", "exec", "compile", "__import__"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNVERIFIED = {"CERT_NONE", "_create_unverified_context"}
# They take `timeout`, by name, whatever they are called on.
NEED_TIMEOUT = {
    "urlopen",
    "PoolManager",
    "ProxyManager",
    "HTTPConnectionPool",
    "HTTPSConnectionPool",
    "HTTPConnection",
    "HTTPSConnection",
    "create_connection",
    "request",
}
VERBS = {"get", "post", "put", "delete", "head", "patch", "options", "request"}
TIMEOUTS = {"connect_timeout", "read_timeout"}  # of a botocore Config


def findings(source: str) -> list[str]:
    """What is forbidden in a module's text, in the order of its lines: "12: eval"."""
    module = _Module(ast.parse(source))
    return [f"{line}: {what}" for line, what in sorted(module.found())]


class _Module:
    def __init__(self, tree: ast.Module) -> None:
        self.nodes = list(ast.walk(tree))

    def found(self) -> Iterator[tuple[int, str]]:
        for node in self.nodes:
            match node:
                case ast.Import(names) | ast.ImportFrom(names=names):
                    modules = [alias.name for alias in names]
                    if isinstance(node, ast.ImportFrom):
                        modules = [node.module or "", *(f"{node.module}.{name}" for name in modules)]
                    yield from ((node.lineno, what) for what in dict.fromkeys(filter(None, map(_imported, modules))))
                case ast.ExceptHandler(kind):
                    if kind is None or any(_name(each) in ("Exception", "BaseException") for each in _members(kind)):
                        if not _raises_again(node):
                            yield node.lineno, "catches everything"
                case ast.Attribute(attr=attr) if attr in UNVERIFIED:
                    yield node.lineno, "an unverified certificate"
                case ast.Attribute() | ast.Name() if _dotted(node) in ("os.environ", "os.environb", "os.getenv"):
                    yield node.lineno, "the environment"
                case ast.Call():
                    yield from ((node.lineno, what) for what in self._calls(node))

    def _calls(self, call: ast.Call) -> Iterator[str]:
        path, name = _dotted(call.func), _name(call.func)
        owner = path.rpartition(".")[0]
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if path in CODE or owner == "builtins" and name in CODE:
            yield name
        if name == "import_module" and call.args and _constant(call.args[0]) in PICKLES:
            yield "a pickle"
        if name in ("read_pickle", "to_pickle") or _constant(given.get("allow_pickle")) is True:
            yield "a pickle"
        if owner == "yaml" and name in UNSAFE_YAML:
            loader = given.get("Loader", call.args[1] if len(call.args) > 1 else None)
            if name not in ("load", "load_all") or _name(loader) not in SAFE_LOADERS:
                yield "unsafe YAML"
        if any(_constant(given.get(name)) is False for name in ("verify", "assert_hostname", "check_hostname")):
            yield "an unverified certificate"
        if _constant(given.get("cert_reqs")) == "CERT_NONE":
            yield "an unverified certificate"
        if path in SHELLS or ("shell" in given and _constant(given["shell"]) is not False):
            yield "a shell"
        if self._may_hang(owner, name, given):
            yield "no time-out"

    def _may_hang(self, owner: str, name: str, given: dict[str | None, ast.expr]) -> bool:
        # Our resources have a `client`, too; it is not boto3's, nor a session's.
        if name in ("client", "resource") and (owner == "boto3" or "session" in owner.lower()):
            return not self._bounded(given.get("config"))
        if name in NEED_TIMEOUT or (owner == "requests" and name in VERBS):
            return "timeout" not in given or _is_none(given["timeout"])
        return False

    def _bounded(self, config: ast.expr | None) -> bool:
        if isinstance(config, ast.Name):
            return self.configs.get(config.id, False)
        return isinstance(config, ast.Call) and _is_bounded_config(config)

    @cached_property
    def configs(self) -> dict[str, bool]:
        """The botocore configs that the module names, and whether each has both time-outs."""
        return {
            target.id: _is_bounded_config(node.value)
            for node in self.nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            for target in node.targets
            if isinstance(target, ast.Name) and _name(node.value.func) == "Config"
        }


def _is_bounded_config(call: ast.Call) -> bool:
    given = {keyword.arg for keyword in call.keywords if not _is_none(keyword.value)}
    return _name(call.func) == "Config" and given >= TIMEOUTS


def _imported(module: str) -> str | None:
    top = module.partition(".")[0]
    if top in PICKLES:
        return "a pickle"
    if module in ("os.environ", "os.environb", "os.getenv"):
        return "the environment"
    if module in SHELLS:
        return "a shell"
    if top == "yaml" and module.partition(".")[2] in UNSAFE_YAML:
        return "unsafe YAML"
    return None


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """The last thing it does is `raise`: it cleans up, and hides nothing."""
    return isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None


def _members(kind: ast.expr) -> list[ast.expr]:
    return list(kind.elts) if isinstance(kind, ast.Tuple) else [kind]


def _name(node: ast.expr | None) -> str:
    """The last part of a dotted name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _dotted(node: ast.expr) -> str:
    """A name as it is written, a call's without its arguments: `a(1).b` is `a.b`; what else there is, is left out."""
    if isinstance(node, ast.Call):
        return _dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
