"""Compile the pipelines to the YAML that a cluster takes, and that the local runner runs.

python -m pipelines.compile                      # the copies in the repository and in the package
python -m pipelines.compile --check              # exit 1 when those are not what would be compiled now
python -m pipelines.compile --image registry/olivine@sha256:... --out build    # for a cluster
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler

from components.container import IMAGE
from olivine.errors import OlivineError, UsageError
from olivine.platform.compiled_pipelines import check_image, with_image
from pipelines.compare_recipes import compare_recipes
from pipelines.evaluate_only import evaluate_only
from pipelines.full import full
from pipelines.relabel import relabel
from pipelines.retrain_on_new_drives import retrain_on_new_drives

PIPELINES: dict[str, Any] = {
    "full": full,
    "retrain_on_new_drives": retrain_on_new_drives,
    "relabel": relabel,
    "evaluate_only": evaluate_only,
    "compare_recipes": compare_recipes,
}
_ROOT = Path(__file__).resolve().parents[1]
# The package never imports this folder, so it carries a copy as data.
GOLDEN_FOLDERS = (_ROOT / "pipelines" / "compiled", _ROOT / "olivine" / "platform" / "compiled")


def compile_pipeline(name: str, image: str = IMAGE) -> str:
    """The YAML of the pipeline `name`, every step in `image`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(PIPELINES[name], str(path))
        text = path.read_text()
    return with_image(text, image)


def find_drift() -> list[str]:
    """Golden files that differ from what compiles now, one line each."""
    texts = {name: compile_pipeline(name) for name in PIPELINES}
    paths = {folder / f"{name}.yaml": text for name, text in texts.items() for folder in GOLDEN_FOLDERS}
    return [
        f"{path.relative_to(_ROOT)} is not what its pipeline compiles to: run `python -m pipelines.compile`."
        for path, text in paths.items()
        if not path.is_file() or path.read_text() != text
    ]


def write_all(folders: tuple[Path, ...], image: str = IMAGE) -> list[Path]:
    """Compile every pipeline into each of the folders; return the files written."""
    written = []
    for name in PIPELINES:
        text = compile_pipeline(name, image)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            written.append(folder / f"{name}.yaml")
            written[-1].write_text(text)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.compile", description="Compile the pipelines.")
    parser.add_argument("--image", help="image of every step, name@sha256:...; needs --out")
    parser.add_argument("--allow-tag", action="store_true", help="take an image by tag, which can be moved")
    parser.add_argument("--out", type=Path, help="folder for the compiled pipelines (default: those of the repository)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the repository's are stale")
    given = parser.parse_args(arguments)
    if given.check:
        drift = find_drift()
        print("\n".join(drift), file=sys.stderr, end="\n" if drift else "")
        return 1 if drift else 0
    if given.image and not given.out:
        raise UsageError("--image needs --out FOLDER: the compiled pipelines of the repository name no image.")
    image = check_image(given.image, given.allow_tag) if given.image else IMAGE
    for path in write_all((given.out,) if given.out else GOLDEN_FOLDERS, image):
        print(path)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OlivineError as error:
        print(f"pipelines.compile: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
