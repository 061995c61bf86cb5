"""What no module may call, whatever it is for: read from the syntax tree, so that no line of it has to run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import jwo_catalog_pipeline

PACKAGE = Path(jwo_catalog_pipeline.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

NO_IMPORT = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "requests", "httpx"}
UNSAFE_YAML = {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
# What must be bounded in time, by an argument of its own or by a config that is.
TIMED = {"urlopen", "PoolManager", "HTTPConnection", "HTTPSConnection", "create_connection"}
CLIENTS = {"client", "resource"}  # of boto3, or of a boto3 session
CONFIG_TIMES = {"connect_timeout", "read_timeout"}
UNVERIFIED = {"CERT_NONE", "_create_unverified_context"}
ENVIRONMENT = {"environ", "environb", "getenv", "putenv"}
# A module, what it may do, and why.
ALLOWED = {
    ("definitions.py", "takes the environment"): "hands it whole to read_settings",
    ("cli/common.py", "takes the environment"): "hands it whole to resources_from",
    ("cli/doctor.py", "takes the environment"): "hands it whole to the doctor, who hands it to readable_settings",
    ("cli/upload.py", "takes the environment"): "DAGSTER_HOME is Dagster's own",
    ("cli/state.py", "takes the environment"): "DAGSTER_HOME is Dagster's own",
    ("engine.py", "takes the environment"): "hands it whole to readable_settings",
    ("demo/run.py", "takes the environment"): "makes the environment that the pipeline is then configured by",
    ("sandbox/__main__.py", "takes the environment"): "keeps the caller's AWS settings out; a process of its own",
    ("sandbox/aws.py", "Config without time-outs"): "its own moto; botocore's default of 60 s will do",
    ("redaction.py", "catches everything"): "logging must not break what logs, whatever an argument's repr raises",
    ("cli/mapping.py", "names an environment variable"): "options that stand for settings (click's envvar)",
    ("demo/run.py", "names an environment variable"): "sets up the environment that the pipeline is then configured by",
    ("cli/upload.py", "names an environment variable"): "DAGSTER_HOME is Dagster's own",
    ("cli/state.py", "names an environment variable"): "DAGSTER_HOME is Dagster's own",
    (
        "sandbox/__main__.py",
        "names an environment variable",
    ): "keeps the caller's AWS settings out; a process of its own",
    ("catalog_api/safe_http.py", "HTTPConnection without a time-out"): "the socket is put in, with its own",
    ("catalog_api/safe_http.py", "request without a time-out"): "the socket has its own, and is cut off besides",
    ("catalog_api/client.py", "request without a time-out"): "the pool has both time-outs (http_pool)",
}


def _names(call: ast.Call) -> tuple[str, str]:
    """The called name, and what it is an attribute of: `yaml.load(...)` is ("load", "yaml")."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr, ast.unparse(call.func.value)
    return (call.func.id if isinstance(call.func, ast.Name) else ""), ""


def _is_setting(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).startswith("JWO_")


def _of_call(call: ast.Call) -> Iterator[str]:
    name, owner = _names(call)
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    bounds = {name for name, value in given.items() if not (isinstance(value, ast.Constant) and value.value is None)}
    timed = bounds & {"timeout", "config"} or None in given
    if owner == "yaml" and name in UNSAFE_YAML:
        yield f"yaml.{name}"
    if not owner and name in BUILTINS:
        yield f"builtin {name}"
    if name in TIMED and not timed:
        yield f"{name} without a time-out"
    if name == "request" and not timed:
        yield "request without a time-out"
    if name in CLIENTS and (owner == "boto3" or "session" in owner.lower()) and not timed:
        yield "client without a time-out"
    if name == "Config" and not bounds >= CONFIG_TIMES:
        yield "Config without time-outs"
    if name in {"read_pickle", "to_pickle"}:
        yield name
    if owner == "os" and name in {"system", "popen"}:
        yield f"os.{name}"
    for argument, value in given.items():
        wrong = {"verify": False, "shell": True, "cert_reqs": "CERT_NONE"}
        if argument in wrong and isinstance(value, ast.Constant) and value.value == wrong[argument]:
            yield f"{argument}={value.value}"
    if name == "get" and any(_is_setting(argument) for argument in call.args):
        yield "names a setting"
    if name in {"getenv", "putenv"}:
        yield "names an environment variable"
    if owner == "os.environ" and call.args and isinstance(call.args[0], ast.Constant):
        yield "names an environment variable"
    if "envvar" in given:
        yield "names an environment variable"


def _of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names):
            yield from (f"imports {each.name}" for each in names if each.name.split(".")[0] in NO_IMPORT)
        case ast.ImportFrom(module, names):
            if (module or "").split(".")[0] in NO_IMPORT:
                yield f"imports {module}"
            yield from (f"yaml.{each.name}" for each in names if module == "yaml" and each.name in UNSAFE_YAML)
            if module == "os" and ENVIRONMENT & {each.name for each in names}:
                yield "takes the environment"
        case ast.Attribute(attr=attr) if attr in UNVERIFIED:
            yield "an unverified certificate"
        case ast.Attribute(ast.Name("os"), attr) if attr in ENVIRONMENT:
            yield "takes the environment"
        case ast.ExceptHandler(kind):
            kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
            reraises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            everything = any(each is None or ast.unparse(each) in {"Exception", "BaseException"} for each in kinds)
            # What cleans up and raises again hides nothing.
            if everything and not reraises:
                yield "catches everything"
        case ast.Subscript(value, ast.Constant()) if ast.unparse(value) == "os.environ":
            yield "names an environment variable"
        case ast.Subscript(_, key, ast.Load()) if _is_setting(key):
            yield "names a setting"
        case ast.Call():
            yield from _of_call(node)


def forbidden(source: str) -> list[str]:
    """What a module does that none may, each with its line."""
    tree = ast.parse(source)
    return [f"{line}: {what}" for node in ast.walk(tree) for what in _of(node) if (line := getattr(node, "lineno", 0))]


@pytest.mark.parametrize("module", MODULES)
def test_no_module_does_what_none_may(module: str) -> None:
    found = forbidden((PACKAGE / module).read_text(encoding="utf-8"))
    assert [each for each in found if (module, each.partition(": ")[2]) not in ALLOWED] == []


def test_every_exemption_is_needed() -> None:
    used = {
        (module, each.partition(": ")[2])
        for module in MODULES
        for each in forbidden((PACKAGE / module).read_text(encoding="utf-8"))
    }
    assert ALLOWED.keys() <= used


OFFENCES = {
    "import pickle": "imports pickle",
    "from marshal import loads": "imports marshal",
    "import os, shelve": "imports shelve",
    "from requests.adapters import HTTPAdapter": "imports requests.adapters",
    "yaml.load(text)": "yaml.load",
    "yaml.load(text, Loader=yaml.SafeLoader)": "yaml.load",
    "from yaml import unsafe_load": "yaml.unsafe_load",
    "eval('1')": "builtin eval",
    "exec(code)": "builtin exec",
    "compile(code, 'x', 'exec')": "builtin compile",
    "try:\n    f()\nexcept Exception:\n    pass": "catches everything",
    "try:\n    f()\nexcept:\n    pass": "catches everything",
    "try:\n    f()\nexcept (OSError, BaseException) as e:\n    raise X from e": "catches everything",
    "http.get(url, verify=False)": "verify=False",
    "PoolManager(cert_reqs='CERT_NONE', timeout=3)": "cert_reqs=CERT_NONE",
    "urllib.request.urlopen(url)": "urlopen without a time-out",
    "urllib3.PoolManager(maxsize=3)": "PoolManager without a time-out",
    "pool.request('GET', url)": "request without a time-out",
    "boto3.client('s3')": "client without a time-out",
    "boto3.resource('dynamodb')": "client without a time-out",
    "boto3.session.client('s3')": "client without a time-out",
    "socket.create_connection(address)": "create_connection without a time-out",
    "subprocess.run(command, shell=True)": "shell=True",
    "os.system('x')": "os.system",
    "table.to_pickle('x')": "to_pickle",
    "context.verify_mode = ssl.CERT_NONE": "an unverified certificate",
    "http.request('GET', url, timeout=None)": "request without a time-out",
    "boto3.session.Session().client('s3')": "client without a time-out",
    "_AWS = Config(retries={}, read_timeout=3)": "Config without time-outs",
    "resources_from(os.environ)": "takes the environment",
    "from os import environ": "takes the environment",
    "os.environ['HOME']": "names an environment variable",
    "os.environ.get('HOME')": "names an environment variable",
    "environment['JWO_BUCKET']": "names a setting",
    "environment.get('JWO_BUCKET', '')": "names a setting",
    "os.getenv('JWO_BUCKET')": "names an environment variable",
}


@pytest.mark.parametrize("source", OFFENCES)
def test_an_offence_is_found(source: str) -> None:
    assert OFFENCES[source] in [each.partition(": ")[2] for each in forbidden(source)]


@pytest.mark.parametrize(
    "source",
    [
        "yaml.safe_load(text)",
        "re.compile('x')",
        "table.query.load(x)",
        "try:\n    f()\nexcept OSError:\n    pass",
        "try:\n    f()\nexcept BaseException:\n    close()\n    raise",
        "boto3.client('s3', config=c)",
        "PoolManager(timeout=t)",
        "pool.request('GET', url, timeout=3)",
        "subprocess.run(command)",
        "environment.get(variable)",
        "_AWS = Config(connect_timeout=3, read_timeout=10)",
    ],
)
def test_what_is_allowed_is_no_offence(source: str) -> None:
    assert forbidden(source) == []
