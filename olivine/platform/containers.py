"""Steps in containers: each command of a run in its image, with the folders of the run at the same paths inside.

KFP has a runner for Docker, which takes a container that failed for one that ended well (kubeflow/pipelines #13332).
Here a step is the command line of the engine instead, so that exit codes, time limits and signals are those of any
other process. Credentials are handed on by the names of their variables: no value stands on a command line.
"""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olivine.cache import CACHE_VARIABLE, cache_root
from olivine.errors import ConfigError, UsageError
from olivine.models.weights_path import weights_path
from olivine.platform.engine import Engine, find_engine
from olivine.platform.steps import step_environment
from olivine.store.keys import parse_location

_IMAGE = re.compile(r"\w[\w./:-]*(@sha256:[0-9a-f]{64})?")
_PASSED = re.compile(
    "(AWS|OLIVINE|MLFLOW|WANDB)_.*|(OMP|OPENBLAS)_NUM_THREADS|((HTTPS?|NO)_PROXY)", flags=re.IGNORECASE
)
_LABEL = "olivine.run"
# Podman without root copies an image of several GB for the user before its first container starts.
_FIRST_START_S = 900.0
_IMAGE_DIGEST = "OLIVINE_IMAGE_DIGEST"
_TEMPORARY = "TMPDIR"
_FILE = "file:///"
_PROBE = """
import os, sys
import olivine
print(*(path for path in sys.argv[1:] if not os.access(path, os.R_OK)), sep="\\n", end="")
"""


@dataclass(frozen=True)
class Containers:
    """How the steps of one run are started in an image.

    Attributes:
        engine: what runs them.
        image: their image, which is on this machine.
        digest: its digest, which the records of the artifacts name.
        label: mark of all containers of the run.
        mounts: folders and files of this machine that are seen inside, and whether they may be written.
        scratch: one of these, for temporary files too: /tmp inside is memory.
    """

    engine: Engine
    image: str
    digest: str
    label: str
    mounts: Mapping[Path, bool]
    scratch: Path

    def launch(self, command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The command line that runs `command` in a container, and the environment that it needs."""
        environment = step_environment(command[1])
        environment |= {
            CACHE_VARIABLE: str(cache_root().absolute()),
            _IMAGE_DIGEST: self.digest,
            _TEMPORARY: str(self.scratch),
        }
        passed = sorted(name for name in environment if _PASSED.fullmatch(name) or name == _TEMPORARY)
        options = [option for name in passed for option in ("--env", name)]
        return [*self._run(), *options, self.image, *command], environment

    def check(self) -> None:
        """See with one container that the image is one of olivine and that the folders of the run are visible in it.

        Raises:
            ConfigError: they are not; the message says which.
        """
        program = ["python3", "-c", _PROBE, *map(str, self.mounts)]
        answer = self.engine.ask(*self._run()[1:], self.image, *program, within_s=_FIRST_START_S)
        if answer.returncode:
            said = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
            raise ConfigError(
                f"no step can run in {self.image}: {said[-1]} ({self.engine.name}). The image must hold Python and "
                "olivine, and the engine must run on this machine, where the folders of the run are."
            )
        if answer.stdout:
            raise ConfigError(
                f"not visible or not readable in a container of {self.engine.name}: "
                f"{', '.join(answer.stdout.splitlines())}. An engine on another machine, or in a virtual one, sees "
                "folders of its own: share these with it, or keep the artifacts in S3."
            )

    def clean_up(self) -> list[str]:
        """The command that ends and removes what containers of the run are left."""
        name, marked = self.engine.name, f"label={_LABEL}={self.label}"
        return ["sh", "-c", f"{name} ps --all --quiet --filter {marked} | xargs -r {name} rm --force"]

    def _run(self) -> list[str]:
        """The engine's command up to the image: no rights, no writable root, this machine's network and memory."""
        rights = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        # Without this SELinux would hide the folders; the other way is to relabel data that are not ours.
        rights += ["--security-opt", "label=disable", *self.engine.as_caller()]
        # A store or a tracker on this machine has the same address inside; loaders share memory in /dev/shm.
        host = ["--network", "host", "--ipc", "host", "--tmpfs", "/tmp:exec,mode=1777"]
        mounts = [option for path, writable in self.mounts.items() for option in ("--mount", _mount(path, writable))]
        marked = ["--label", f"{_LABEL}={self.label}"]
        return [self.engine.name, "run", "--rm", "--pull", "never", *marked, *rights, *host, *mounts]


def prepare_containers(image: str, parameters: dict[str, Any], scratch: Path) -> Containers:
    """Find an engine and the image, make the store's folder, and see that a container finds what the run needs.

    Inside, at the same paths, are: the scratch folder, the store where it is a directory, the cache of weights (these
    three to be written), and whatever the parameters and the variables that are handed on name by an absolute path.

    Args:
        image: name of an image of this machine.
        parameters: those of the run, as `absolute_folders` returns them.
        scratch: folder for the outputs of the steps.

    Raises:
        UsageError: `image` is no name of an image, or a path cannot be mounted.
        ConfigError: no engine, no such image, or a folder that is not visible inside.
    """
    if not _IMAGE.fullmatch(image):
        raise UsageError(f"--image {image!r} is no name of an image, as registry/olivine:tag or name@sha256:digest.")
    engine = find_engine()
    digest = engine.image_id(image)
    written = [scratch, cache_root().absolute()]
    if folder := _store_folder(parameters):
        written.append(folder)
    for path in written:
        path.mkdir(parents=True, exist_ok=True)
    values = [*_texts(parameters.values()), *(value for name, value in os.environ.items() if _PASSED.fullmatch(name))]
    read = [Path(path) for path in map(_named_path, values) if path]
    mounts = dict.fromkeys(read, False) | dict.fromkeys(written, True)
    containers = Containers(engine, image, digest, uuid.uuid4().hex, mounts, scratch)
    try:
        containers.check()
    except BaseException:
        # Nobody watches over containers yet.
        subprocess.run(containers.clean_up(), capture_output=True, check=False)
        raise
    return containers


def absolute_folders(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the store and the drives by absolute paths: a container has another working directory.

    Raises:
        UsageError: the store is no directory and not in S3.
    """
    folders = {"store": _store_folder(parameters), "drives": _drives_folder(str(parameters.get("drives") or ""))}
    return parameters | {name: str(folder) for name, folder in folders.items() if folder}


def _store_folder(parameters: Mapping[str, Any]) -> Path | None:
    """The folder of the store, the same as without containers; None when it is in S3 or is not named."""
    return parse_location(str(parameters["store"])).directory if parameters.get("store") else None


def _drives_folder(name: str) -> Path | None:
    """The absolute path of drives that are named by a path or by file://; None for other addresses and no name."""
    scheme, sign, rest = name.partition("://")
    if sign and scheme != "file":
        return None
    return Path(rest if sign else name).absolute() if name else None


def _named_path(text: str) -> str:
    """The path that a value, or the value of a setting `stage.field=value`, is; empty when it is none that exists."""
    name = text if text.startswith(("/", _FILE)) else text.partition("=")[2].strip("\"'")
    # Weights may be named by a URI.
    path = str(weights_path(name, None)) if name.startswith(_FILE) else name
    return path if path.startswith("/") and Path(path).exists() else ""


def _texts(values: Iterable[Any]) -> list[str]:
    """All texts among the values and in the lists among them."""
    return [text for value in values for text in (value if isinstance(value, list) else [value]) if _is_text(text)]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _mount(path: Path, writable: bool) -> str:
    if set(str(path)) & set(',"'):
        raise UsageError(
            f"{path}: a path with a comma or a quotation mark cannot be mounted. Give the folder another name."
        )
    return f"type=bind,source={path},target={path}" + ("" if writable else ",readonly")
