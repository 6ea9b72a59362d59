"""Cost of a DAG file's imports: ours, two peers, and a floor below which ours cannot come.

Prints one JSON line: seconds, MB and modules that importing every public class adds to a process in which all of
`airflow.sdk` is loaded; medians of fresh processes, taken in turns, with a warm bytecode cache.

Public are the operators, sensors, triggers and links of the modules that a provider's own `get_provider_info` names
(of Amazon's those of SageMaker). The floor is made from ours: the same classes with the same bases, signatures,
template fields and docstrings, and no bodies, in a package of its own in a temporary folder. A peer that is not
installed (extra `bench`) ends it.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FunctionType
from typing import Any, Generic

from peers import require

OURS = "airflow_provider_pai"
FLOOR = "pai_floor"
SDKS = ("alibabacloud_", "Tea", "darabonba", "oss2", "aliyunsdkcore")
PROVIDERS = {
    "ours": (OURS, ""),
    "sagemaker": ("airflow.providers.amazon", "sagemaker"),
    "databricks": ("airflow.providers.databricks", "databricks"),
}


def public_modules(package: str, word: str) -> list[str]:
    """Return the modules that hold a provider's operators, sensors, triggers and links."""
    info = importlib.import_module(f"{package}.get_provider_info").get_provider_info()
    kinds = [info.get(kind, []) for kind in ("operators", "sensors", "triggers")]
    modules = [name for kind in kinds for entry in kind for name in entry["python-modules"]]
    modules += [link.rpartition(".")[0] for link in info.get("extra-links", [])]
    return sorted({name for name in modules if word in name})


def public_classes(name: str) -> list[type]:
    """Import a module, and what it hands on from others; return the classes."""
    module = importlib.import_module(name)
    own = [one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == name]
    return own or [getattr(module, each) for each in getattr(module, "__all__", ())]


def child(modules: list[str]) -> None:
    """Import modules on top of the SDK and print what that cost."""
    import airflow.sdk
    import psutil

    for name in airflow.sdk.__all__:
        getattr(airflow.sdk, name, None)  # 1.3 lists a name that it has not
    gc.collect()
    process, before = psutil.Process(), set(sys.modules)
    memory, begun = process.memory_info().rss, time.perf_counter()
    for name in modules:
        public_classes(name)
    seconds = time.perf_counter() - begun
    added = set(sys.modules) - before
    figures = {
        "seconds": seconds,
        "mb": (process.memory_info().rss - memory) / 1e6,
        "modules": len(added),
        "sdk_modules": sum(name.startswith(SDKS) for name in added),
    }
    sys.stdout.write("\n" + json.dumps(figures) + "\n")


def measure(modules: list[str], paths: list[str]) -> dict[str, float]:
    """Run `child` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, __file__, "--child", *modules], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{modules[0]}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


# --- the floor


def write_floor(folder: Path, modules: list[str]) -> list[str]:
    """Write the package of empty classes and return its modules."""
    public = [found for name in modules for found in public_classes(name)]
    classes: dict[str, list[type]] = {}
    for found in public:
        for base in reversed(found.__mro__):
            if base.__module__.startswith(OURS + "."):
                members = classes.setdefault(base.__module__, [])
                if base not in members:
                    members.append(base)
    for module, members in classes.items():
        path = folder / (_floor_name(module).replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(folder).parents:
            if parent.name:
                (folder / parent / "__init__.py").touch()
        path.write_text(_module_text(module, members))
    return sorted({_floor_name(found.__module__) for found in public})


def _floor_name(module: str) -> str:
    return FLOOR + module.removeprefix(OURS)


def _module_text(module: str, members: list[type]) -> str:
    imports = {
        f"from {_floor_name(base.__module__) if base.__module__.startswith(OURS) else base.__module__} "
        f"import {base.__name__}"
        for member in members
        for base in member.__bases__
        if base.__module__ not in (module, "builtins", "typing")
    }
    head = ["from __future__ import annotations", *sorted(imports)]
    return "\n".join([*head, *(_class_text(member) for member in members)]) + "\n"


def _class_text(found: type) -> str:
    bases = ", ".join(base.__name__ for base in found.__bases__ if base not in (object, Generic))
    lines = [f"\n\nclass {found.__name__}({bases}):", f"    {_doc(found)}"]
    for name in ("template_fields", "template_ext", "template_fields_renderers", "ui_color", "name"):
        value = vars(found).get(name)
        if isinstance(value, str | tuple | dict):
            lines.append(f"    {name} = {value!r}")
    for name, member in vars(found).items():
        function = member.fget if isinstance(member, property) else getattr(member, "func", member)
        function = inspect.unwrap(function) if callable(function) else function
        if not isinstance(function, FunctionType) or function.__module__ != found.__module__:
            continue
        if isinstance(member, property):
            lines.append("    @property")
        start = "async def" if inspect.iscoroutinefunction(function) else "def"
        body = "super().__init__(**kwargs)" if name == "__init__" and "kwargs" in str(_signature(function)) else "..."
        lines += [f"    {start} {name}{_signature(function)}:", f"        {_doc(function)}", f"        {body}"]
    return "\n".join(lines)


def _signature(function: FunctionType) -> inspect.Signature:
    """Return a signature without annotations that need imports and with defaults that are literals."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(default=parameter.default if _is_literal(parameter.default) else None)
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)


def _is_literal(value: object) -> bool:
    return value is inspect.Parameter.empty or type(value) in (str, int, float, bool, type(None), tuple)


def _doc(documented: Any) -> str:
    return repr(documented.__doc__ or "")


def main() -> None:
    """Measure all four in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="processes each (default: %(default)s)")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    require(*(package for package, _ in PROVIDERS.values()))
    modules = {name: public_modules(package, word) for name, (package, word) in PROVIDERS.items()}
    with tempfile.TemporaryDirectory() as folder:
        modules = {"floor": write_floor(Path(folder), modules["ours"]), **modules}
        rounds = [{name: measure(named, [folder]) for name, named in modules.items()} for _ in range(options.runs + 1)]
    rows = {name: _median([one[name] for one in rounds[1:]]) for name in modules}  # the first warms the caches
    sdk_modules = rows["ours"]["sdk_modules"]
    for row in rows.values():
        del row["sdk_modules"]
    print(json.dumps({**rows, "sdk_modules": sdk_modules}))


def _median(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in figures), 4) for name in figures[0]}


if __name__ == "__main__":
    main()
