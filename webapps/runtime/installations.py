"""The environments of namespaces, as the supervisor keeps them: made where one is missing, installed into on demand.

An installer is the keeper's child, so that it goes on whatever happens to the supervisor.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from . import hostedfiles, installer, processes
from .environments import Environment, file_name
from .events import Events
from .fleet import Fleet
from .keeperlink import KeeperLink
from .spec import AppSpec, Bounds
from .wire import Message


class Installations:
    """Know each namespace's interpreter, and start installers; ``specs`` are all that is wished."""

    def __init__(
        self, home: Path, fleet: Fleet, keeper: KeeperLink, events: Events, specs: Callable[[], Iterable[AppSpec]]
    ) -> None:
        self.home = home
        self.fleet = fleet
        self.keeper = keeper
        self.events = events
        self.specs = specs
        self._begun: set[str] = set()
        self._pythons: dict[str, str] = {}
        self._unmade: dict[str, str] = {}

    def look_anew(self) -> None:
        """Forget which interpreters there are: they are looked for once a tick."""
        self._pythons.clear()

    def python(self, spec: AppSpec) -> str:
        """Return the interpreter of the namespace's environment, "" while that is being made."""
        python = self._pythons.get(spec.namespace)
        if python is None:
            environment = self._of(spec.namespace)
            python = self._pythons[spec.namespace] = str(environment.python() or "")
            if not python:
                self._make(environment)
        return python

    def why_none(self, spec: AppSpec) -> str:
        """Say why there will be no environment until somebody does something, "" where it is on its way."""
        if problem := self.fleet.confines.problem(spec):
            return problem  # For an installer it is the same.
        unmade = self._unmade.get(spec.namespace, "")
        return f"the virtual environment of {spec.namespace} could not be made: {unmade}" if unmade else ""

    def ask(self, request: Message) -> str:
        """Have an application's requirements installed; say why not, "" where it has begun.

        The ``labels`` are of all applications of the namespace, disabled ones too.
        """
        namespace, label, requirements = request["namespace"], request["label"], request["requirements"]
        labels = request["labels"]
        if not os.path.lexists(requirements):
            return f"there is no {requirements}"
        if problem := hostedfiles.problem(requirements, os.path.dirname(requirements)):
            return problem
        environment = self._of(namespace)
        if self._is_going_on(namespace):
            return f"an installation into {namespace} is under way; wait for its end"
        try:
            self._install(environment, label, [requirements, *_live(environment, labels)])
        except OSError as error:
            return f"the installer cannot be confined: {error}"
        return ""

    def rename(self, namespace: str, before: str, label: str) -> None:
        """Have what an application asked for be kept by its new name."""
        environment = self._of(namespace)
        kept = environment.directory / "requirements" / file_name(before)
        with contextlib.suppress(OSError):  # It has not asked for anything.
            hostedfiles.rename(kept, file_name(label), environment.directory)

    def tidy(self, namespace: str, used: Collection[Path]) -> None:
        """Remove a namespace's environments that nothing uses any more."""
        if not self._is_going_on(namespace):
            self._of(namespace).tidy(set(used))

    def _of(self, namespace: str) -> Environment:
        return Environment(self.home / "namespaces" / namespace)

    def _is_going_on(self, namespace: str) -> bool:
        return f"install:{namespace}" in self.keeper.children()

    def _make(self, environment: Environment) -> None:
        last = environment.installation()
        if environment.name not in self._begun:
            with contextlib.suppress(OSError):  # What the machine permits is not known yet: the next tick asks again.
                self._install(environment, environment.name, [])
        elif last and last.state == "failed":
            self._unmade[environment.name] = last.message  # A person has to look: it is not tried again by itself.

    def _install(self, environment: Environment, label: str, wanted: list[str]) -> None:
        """Have the keeper start the installer. Raises OSError where it cannot be confined yet."""
        mark = processes.on_command_line(processes.mark_of(self.home / "run"))
        argv = [sys.executable, "-P", *mark, "-m", "webapps.runtime.environments", str(environment.directory), label]
        user = self.fleet.owners.of_directory(environment.directory)
        account = installer.account_of(user or self.fleet.owners.user)
        if problem := self.fleet.confines.machine.problem(account):
            raise OSError(problem)
        carried = installer.carried(self.fleet.confines, account, self._reach(environment, wanted[0] if wanted else ""))
        passed = {**installer.passed(os.environ), **carried, "PYTHONPATH": str(Path(__file__).parents[2])}
        self._begun.add(environment.name)
        self.keeper.start(f"install:{environment.name}", argv + wanted, passed, again=False, user=user)
        self.events.say(f"installing into the environment of {environment.name} for {label}")

    def _reach(self, environment: Environment, requirements: str) -> installer.Reach:
        """Say what an installation may reach of the applications of its namespace."""
        here = [spec for spec in self.specs() if spec.namespace == environment.name]
        kept = environment.directory / "requirements"
        directories = {spec.directory for spec in here if (kept / file_name(spec.label)).exists()}
        if requirements:
            directories.add(os.path.dirname(requirements))
        bounds = here[0].bounds if here else Bounds()
        return installer.Reach(tuple(sorted(filter(None, directories))), bounds)


def _live(environment: Environment, labels: Collection[str]) -> list[str]:
    """Name the kept requirements whose applications are there."""
    try:
        kept = hostedfiles.names(environment.directory / "requirements", environment.directory)
    except OSError:
        return []
    return sorted({file_name(label) for label in labels} & set(kept))
