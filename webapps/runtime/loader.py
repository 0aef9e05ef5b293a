"""Load the callable of an application, and say in words what is wrong where it cannot be had.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType, ModuleType
from typing import Any

from . import bytecode, hanging, hostedfiles, ports

FACTORY = re.compile(r"(?P<path>[A-Za-z_][\w.]*)\(\s*\)")
ROUTINES = (FunctionType, BuiltinFunctionType, MethodType, MethodDescriptorType)
LISTED = 12
# An object of theirs that can be called is an application.
FRAMEWORKS = ("flask", "fastapi", "starlette", "django", "quart", "falcon", "bottle", "litestar", "pyramid")
# So many names of a directory are looked at for what could be meant.
MOST_LOOKED_AT = 2000


class LoadError(Exception):
    """The application cannot be loaded; the message names the cause and the next move.

    ``detail`` is the traceback or "", ``remedy`` what the portal can do about it with one click.
    """

    def __init__(self, message: str, *, detail: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.detail = detail
        self.remedy = remedy


def load(directory: str, name: str, callable_name: str, protocol: str) -> Callable[..., Any]:
    """Return the application that Application Name and Callable Name mean. Raises LoadError."""
    name, callable_name = _meant(name, callable_name)
    candidates = list(_places(directory, name, callable_name))
    module, path = _first_importable(directory, candidates)
    application = _attribute(module, path, directory)
    _check_callable(application, callable_name, module)
    _check_protocol(application, protocol)
    return application  # type: ignore[no-any-return]


def _meant(name: str, callable_name: str) -> tuple[str, str]:
    """Understand ``app.py`` and ``app:create_app()`` as what they mean."""
    if ":" in name:
        name, callable_name = name.split(":", 1)
    if name.endswith(".py") and "/" not in name:
        name = name[:-3]
    return name, callable_name


def _places(directory: str, name: str, callable_name: str) -> Iterable[tuple[str, str]]:
    """Yield (module or file, attribute path), the likeliest first.

    A callable in dotted form (``app.wsgi.application``) is an attribute path from the module, or module
    and attribute together (``cpf.md``).
    """
    yield name, callable_name
    bare = callable_name.partition("(")[0]
    if "." in bare and not _is_file(directory, name):
        module, _, attribute = bare.rpartition(".")
        call = "()" if callable_name.endswith(")") else ""
        if module != name:
            yield module, attribute + call
        if attribute and bare.startswith(name + "."):
            yield name, bare[len(name) + 1 :] + call


def _first_importable(directory: str, candidates: list[tuple[str, str]]) -> tuple[ModuleType, str]:
    first: LoadError | None = None
    fallback: tuple[ModuleType, str] | None = None
    for name, path in candidates:
        try:
            module = _import(directory, name)
        except LoadError as error:
            first = first or error
            continue
        if _has(module, path):
            return module, path
        fallback = fallback or (module, path)
    if fallback:
        return fallback
    raise first or LoadError("no Application Name is given")


def _has(module: ModuleType, path: str) -> bool:
    target: Any = module
    for part in path.partition("(")[0].split("."):
        if not hasattr(target, part):
            return False
        target = getattr(target, part)
    return True


def _is_file(directory: str, name: str) -> bool:
    return "/" in name or os.path.isfile(os.path.join(directory, name))


def _import(directory: str, name: str) -> ModuleType:
    try:
        if _is_file(directory, name):
            return _import_file(os.path.join(directory, name))
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not _is_file(directory, name) and error.name and (name == error.name or name.startswith(error.name + ".")):
            raise LoadError(_no_such_module(directory, name)) from None
        raise _raised(error, name) from error
    except FileNotFoundError as error:
        if _is_file(directory, name) and error.filename == os.path.join(directory, name):
            raise LoadError(f"there is no file {name} in {directory}") from None
        raise _raised(error, name) from error
    except SystemExit as error:
        raise LoadError(
            f"{name} called sys.exit({'' if error.code is None else repr(error.code)}) while it was imported; "
            "a web application must not leave: move that call below `if __name__ == '__main__':`",
            detail=own_traceback(error),
        ) from error
    except BaseException as error:
        raise _raised(error, name) from error


def _import_file(path: str) -> ModuleType:
    """Load a script by its file, whatever its ending (mod_wsgi's habit: ``myapp.wsgi``)."""
    stem = os.path.basename(path).partition(".")[0]
    name = stem if stem.isidentifier() and stem not in sys.modules else f"script_{abs(hash(path))}"
    loader = bytecode.Loader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:
        raise LoadError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _no_such_module(directory: str, name: str) -> str:
    found = modules_in(directory)
    there = f"the modules there are: {_some(found)}" if found else "there is no Python module in it"
    return f"there is no module {name!r} in {directory}; {there}"


def modules_in(directory: str) -> list[str]:
    """List what could be given as Application Name: modules, packages, script files."""
    listed = (name for name in hostedfiles.names(directory, most=MOST_LOOKED_AT) if name.isprintable())
    return sorted(module for name in listed for module in _modules_of(os.path.join(directory, name), name))


def _modules_of(path: str, name: str) -> Iterator[str]:
    """Yield what one name in a directory could be given as."""
    stem, ending = os.path.splitext(name)
    if name.startswith((".", "__")):
        return
    if ending == ".py" and stem.isidentifier() and os.path.isfile(path):
        yield stem
    elif ending == ".wsgi" and os.path.isfile(path):
        yield name
    elif os.path.isfile(os.path.join(path, "__init__.py")):
        yield name
        if os.path.isfile(os.path.join(path, "wsgi.py")):
            yield name + ".wsgi"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def _raised(error: BaseException, name: str) -> LoadError:
    remedy, hint = "", ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        remedy = "install"
        hint = f"; install what the application needs (requirements.txt) or add {error.name} to it"
    elif ports.refused(error):
        hint = hanging.OWN_SERVER
    what = traceback.format_exception_only(type(error), error)[-1].strip()
    return LoadError(f"{name} raised {what}{hint}", detail=own_traceback(error), remedy=remedy)


def own_traceback(error: BaseException) -> str:
    """Format the traceback without the frames of the import machinery and of this file."""
    trace = error.__traceback__
    while trace and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_machinery(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")


def _attribute(module: ModuleType, path: str, directory: str) -> Any:
    factory = FACTORY.fullmatch(path)
    target: Any = module
    for part in (factory["path"] if factory else path).split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            raise LoadError(_no_such_callable(module, path, directory)) from None
    return _call(target, path) if factory else target


def _call(factory: Any, path: str) -> Any:
    try:
        return factory()
    except SystemExit as error:
        raise LoadError(f"{path} called sys.exit({error.code!r})", detail=own_traceback(error)) from error
    except BaseException as error:
        raise _raised(error, path) from error


def _no_such_callable(module: ModuleType, path: str, directory: str) -> str:
    found = callables_in(module)
    has = f"it has: {_some(found)}" if found else "it has no callable of its own"
    where = os.path.relpath(getattr(module, "__file__", None) or module.__name__, directory)
    return f"{where} has no {path!r}; {has}. Put one of them into Callable Name"


def callables_in(module: ModuleType) -> list[str]:
    """List the callables that a module made itself: applications, then other objects, functions, and classes."""
    names = [name for name, value in vars(module).items() if not name.startswith("_") and callable(value)]
    ranks = {name: _rank(name, module) for name in names}
    return sorted((name for name in names if ranks[name] is not None), key=lambda name: ranks[name] or 0)


def _rank(name: str, module: ModuleType) -> int | None:
    """Say how likely a callable is the application, 0 the most; None where it was only imported."""
    value = vars(module)[name]
    kind = type(value)  # It alone says what a stand-in is, such as flask.request, which asks what it stands for.
    if issubclass(kind, (type, *ROUTINES)):
        own = getattr(value, "__module__", None) in (module.__name__, None)
        return (3 if issubclass(kind, type) else 2) if own else None
    if any(hasattr(kind, call) for call in ("wsgi_app", "asgi")) or _is_of_a_framework(kind):
        return 0
    return None if issubclass(kind, ModuleType) or _is_elsewhere(name, value, module) else 1


def _is_of_a_framework(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] in FRAMEWORKS for base in kind.__mro__)


def _is_elsewhere(name: str, value: Any, module: ModuleType) -> bool:
    """Say whether another module has it by the same name: then it was imported from there."""
    others = [other for other in list(sys.modules.values()) if other is not module]
    return any(getattr(other, "__dict__", {}).get(name) is value for other in others)


def _check_callable(application: Any, path: str, module: ModuleType) -> None:
    if not callable(application):
        raise LoadError(
            f"{path} in {module.__name__} is not callable: it is of type {type(application).__name__}. "
            f"It has: {_some(callables_in(module)) or 'no callable'}"
        )


def _check_protocol(application: Any, protocol: str) -> None:
    speaks = spoken_by(application)
    if speaks == "asgi" and protocol == "wsgi":
        raise LoadError(
            "the callable is an ASGI application, and Python Protocol Type says wsgi: set it to asgi",
            remedy="protocol:asgi",
        )
    if speaks == "wsgi" and protocol == "asgi":
        raise LoadError(
            "the callable is a WSGI application, and Python Protocol Type says asgi: set it to wsgi",
            remedy="protocol:wsgi",
        )


def spoken_by(application: Any) -> str:
    """Tell "asgi" or "wsgi" by how it wants to be called (ASGI 3: async, three arguments; PEP 3333: two), or ""."""
    call = application if inspect.isroutine(application) or inspect.isclass(application) else type(application).__call__
    while isinstance(call, functools.partial) or hasattr(call, "__wrapped__"):
        call = call.func if isinstance(call, functools.partial) else call.__wrapped__
    if inspect.iscoroutinefunction(call):
        return "asgi"
    wanted = _positional(application)
    return {2: "wsgi", 3: "asgi" if _names_asgi(application) else ""}.get(wanted, "")


def _positional(application: Any) -> int:
    """Count the positional arguments that must be given; -1 where that cannot be told."""
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):
        return -1
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return -1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for parameter in parameters if parameter.kind in positional and parameter.default is parameter.empty)


def _names_asgi(application: Any) -> bool:
    names = list(inspect.signature(application).parameters)
    return names[:3] == ["scope", "receive", "send"]
