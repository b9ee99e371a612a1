"""The container engine of this machine: Podman or Docker, by its command line, which both share."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from olivine.errors import ConfigError

_ASK_S = 60.0
# What tells that an engine answers, and also whether it runs without the rights of root.
_QUESTIONS = {
    "podman": ["info", "--format", "{{.Host.Security.Rootless}}"],
    "docker": ["info", "--format", "{{.SecurityOptions}}"],
}


@dataclass(frozen=True)
class Engine:
    """An engine that answers.

    Attributes:
        name: its program.
        rootless: it runs with the rights of the user, and numbers users in a way of its own.
    """

    name: str
    rootless: bool

    def ask(self, *arguments: str, within_s: float | None = None) -> subprocess.CompletedProcess[str]:
        """Run the engine's program; ConfigError when it gives no answer."""
        return _ask(self.name, *arguments, within_s=within_s or _ASK_S)

    def as_caller(self) -> list[str]:
        """Options under which a container runs as the user who calls, so that what it writes is theirs."""
        if not self.rootless:
            groups = [option for group in os.getgroups() for option in ("--group-add", str(group))]
            return ["--user", f"{os.getuid()}:{os.getgid()}", *groups]
        # Docker without root shows the caller as root inside; Podman is asked to keep the number.
        return ["--userns", "keep-id"] if self.name == "podman" else ["--user", "0:0"]

    def image_id(self, image: str) -> str:
        """The digest `sha256:...` of an image of this machine.

        Raises:
            ConfigError: there is none of that name.
        """
        answer = self.ask("image", "inspect", "--format", "{{.Id}}", image)
        if answer.returncode:
            raise ConfigError(
                f"{self.name} has no image {image!r} ({_last_line(answer)}). Build one, with "
                f"`{self.name} build -f docker/Dockerfile --target train-cpu -t {image} .`, or fetch it, with "
                f"`{self.name} pull {image}`; --image names another one."
            )
        return f"sha256:{answer.stdout.strip().removeprefix('sha256:')}"


def find_engine() -> Engine:
    """Podman, or else Docker, whichever answers first.

    Raises:
        ConfigError: neither is installed and running; the message says what each of them lacks.
    """
    lacks = []
    for name, question in _QUESTIONS.items():
        if not shutil.which(name):
            lacks.append(f"{name} is not installed")
            continue
        try:
            answer = _ask(name, *question, within_s=_ASK_S)
        except ConfigError as error:
            lacks.append(str(error))
            continue
        if not answer.returncode:
            return Engine(name, answer.stdout.strip() == "true" or "rootless" in answer.stdout)
        lacks.append(f"{name} does not answer ({_last_line(answer)})")
    raise ConfigError(
        f"--container needs Podman or Docker: {'; '.join(lacks)}. Install Podman (apt-get install podman), or start "
        "Docker; without --container the steps run as processes."
    )


def _ask(name: str, *arguments: str, within_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [name, *arguments], capture_output=True, text=True, errors="replace", timeout=within_s, check=False
        )
    except OSError as error:
        raise ConfigError(f"{name} cannot be started ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{name} {arguments[0]} gives no answer within {within_s:.0f} s") from error


def _last_line(answer: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {answer.returncode}"
