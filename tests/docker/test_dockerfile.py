"""The images: what must not be in them, that what they install fits together, and, where an engine works, one that runs."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from chain import VERSION
from packaging.requirements import Requirement

from olivine.errors import ConfigError, OlivineError
from olivine.platform.engine import Engine, find_engine
from olivine.platform.local import run_pipeline
from olivine.store import open_store

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker" / "Dockerfile").read_text()
TARGETS = {"pipeline": {"pipeline"}, "train-cpu": {"train", "label"}, "train-cuda": {"train", "label"}}
"""Extras of the package in each image."""

# Their index is a choice, so that they are not in the lock; torch brings the rest.
OUTSIDE_LOCK = re.compile(r"torch|torchvision|triton|setuptools|(nvidia|cuda)-.*")


def stages() -> dict[str, tuple[str, str]]:
    """Name of each stage: what it builds on, and its instructions."""
    found = {}
    for part in re.split(r"^FROM ", TEXT, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        base, name = re.fullmatch(r"(\S+) AS (\S+)", head).groups()
        found[name] = (base, body)
    return found


def built_on(name: str) -> list[str]:
    """A stage and those under it, down to the base image."""
    found = []
    while name in stages():
        found.append(name)
        name = stages()[name][0]
    return found


def test_no_image_has_an_entrypoint() -> None:
    assert not re.search(r"^ENTRYPOINT", TEXT, flags=re.M)


@pytest.mark.parametrize("target", TARGETS)
def test_every_image_runs_without_rights_and_says_what_it_is(target: str) -> None:
    bodies = [stages()[name][1] for name in reversed(built_on(target))]
    assert "runtime" in built_on(target)
    assert re.findall(r"^USER (\S+)", "\n".join(bodies), flags=re.M)[-1] == "1000:1000"
    for label in ("title", "version", "revision", "licenses"):
        assert f"org.opencontainers.image.{label}=" in stages()["runtime"][1]


def test_what_is_installed_is_pinned() -> None:
    pinned = r"--constraint constraints.txt|--require-hashes|--no-deps {}|( [\w-]+==[\d.]+)+( |$)"
    for line in re.findall(r"pip install((?:.*\\\n)*.*)", TEXT):
        assert re.search(pinned, line.replace("\\\n", "").split("&&")[0]), line
    pyproject = (ROOT / "pyproject.toml").read_text()
    for pin in set(re.findall(r"torch(?:vision)?==[\d.]+", TEXT)):
        assert f'"{pin}"' in pyproject, "the same release as everywhere else"


def test_what_is_copied_holds_no_data_and_no_tests() -> None:
    copied = set(" ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, flags=re.M)).split())
    assert copied == {
        "LICENSE", "NOTICE", "README.md", "olivine", "pyproject.toml", "requirements/build.txt",
        "requirements/test.txt", "scripts/build_minkowski.sh", "scripts/minkowski_cuda.h",
    }  # fmt: skip
    # An engine that sends the whole checkout to its builder sends these alone.
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), flags=re.M)
    assert set(kept) == copied


def locked() -> dict[str, str]:
    """Version of each package of the list that constrains the images."""
    lines = (ROOT / "requirements" / "test.txt").read_text().splitlines()
    pins = [re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line) for line in lines]
    return {plain(pin[1]): pin[2] for pin in pins if pin}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("target", TARGETS)
def test_what_an_image_installs_fits_together(target: str) -> None:
    installed = [line for line in TEXT.splitlines() if f"'.[{','.join(extras_of(target))}]'" in line]
    assert installed
    pins, wanted = locked(), requirements_of(target)
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        requirement = wanted.pop()
        name, key = plain(requirement.name), (plain(requirement.name), frozenset(requirement.extras))
        if key in seen or OUTSIDE_LOCK.fullmatch(name):
            continue
        seen.add(key)
        assert name in pins, f"{requirement} is not in the lock"
        assert requirement.specifier.contains(pins[name], prereleases=True), (
            f"{requirement}, but {pins[name]} is locked"
        )
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(needed)
    names = {name for name, _ in seen}
    assert ("kfp" in names) == (target == "pipeline"), "kfp holds libraries of others at exact releases"
    assert "kubernetes" in names, "the supervisor of a TrainJob needs it"
    assert ("deepspeed" in names) == (target != "pipeline")


def extras_of(target: str) -> list[str]:
    return sorted(TARGETS[target], reverse=True)


def requirements_of(target: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [
        *project["dependencies"],
        *(text for extra in TARGETS[target] for text in project["optional-dependencies"][extra]),
    ]
    line = next(line for line in stages()[f"{target}-build"][1].splitlines() if "'.[" in line)
    return [Requirement(text) for text in [*texts, *line.rpartition("'")[2].split()]]


def test_minkowski_is_built_with_what_its_cuda_sources_lack() -> None:
    assert re.search(r"^ARG MINKOWSKI=off$", TEXT, flags=re.M)
    wheel, install = stages()["minkowski-wheel"], stages()["train-cuda-install"]
    assert wheel[0] == install[0] == "train-cuda-build", "the same torch"
    assert "MINKOWSKI_FOR=cuda" in wheel[1]
    script = (ROOT / "scripts" / "build_minkowski.sh").read_text()
    assert 'NVCC_APPEND_FLAGS="-include $header' in script


@pytest.fixture(scope="module")
def engine() -> Engine:
    try:
        return find_engine()
    except ConfigError as error:
        pytest.skip(f"no container is run: {error}")


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    """OLIVINE_TEST_IMAGE, or the image without torch, built on OLIVINE_TEST_BASE."""
    if made := os.environ.get("OLIVINE_TEST_IMAGE"):
        return made
    base = os.environ.get("OLIVINE_TEST_BASE", "")
    if not base:
        pytest.skip(f"{engine.name} works, but OLIVINE_TEST_BASE names no base image, nor OLIVINE_TEST_IMAGE an image")
    build = [engine.name, "build", "-f", str(ROOT / "docker" / "Dockerfile"), "--target", "pipeline"]
    subprocess.run([*build, "--build-arg", f"BASE={base}", "-t", "olivine:pipeline-test", str(ROOT)], check=True)
    return "olivine:pipeline-test"


@pytest.mark.timeout(1800)
def test_the_image_without_torch_ingests_labels_and_weighs(
    image: str, chain_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_url: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OLIVINE_CACHE", str(tmp_path / "cache"))
    given = {"drives": str(chain_root), "version": VERSION, "store": store_url, "recipe": "tiny_cpu", "seeds": [0]}
    with pytest.raises(OlivineError, match=r"(?s)pretrain: .*No module named 'torch'"):
        run_pipeline("full", given | {"settings": ["pretrain.epochs=1"]}, image=image)
    store = open_store(store_url)
    for stage in ("ingest", "label", "weigh"):
        assert len([key for key in store.list(stage) if key.endswith("manifest.json")]) == 1


@pytest.mark.timeout(1800)
def test_a_training_image_runs_every_step(
    engine: Engine, chain_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = os.environ.get("OLIVINE_TEST_TRAIN_IMAGE", "")
    if not made:
        pytest.skip(f"{engine.name} works, but OLIVINE_TEST_TRAIN_IMAGE names no image")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OLIVINE_CACHE", str(tmp_path / "cache"))
    given = {"drives": str(chain_root), "version": VERSION, "recipe": "olivine@tiny_cpu", "seeds": [0]}
    inside, outside = (
        run_pipeline("full", given | {"store": str(tmp_path / name)}, tmp_path / "pages", image=image)
        for name, image in (("inside", made), ("outside", None))
    )
    digests = [{step.label: step.data_digest for step in run.steps} for run in (inside, outside)]
    assert digests[0] == digests[1]
    assert inside.files["report"].is_file()


@pytest.mark.timeout(1800)
def test_a_step_that_takes_too_long_leaves_no_container(
    engine: Engine, image: str, chain_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLIVINE_CACHE", str(tmp_path / "cache"))
    given = {"drives": str(chain_root), "version": VERSION, "store": str(tmp_path / "store"), "recipe": "tiny_cpu"}
    before = engine.ask("ps", "--quiet").stdout
    with pytest.raises(OlivineError, match=r"ingest: not done after 0 s and stopped"):
        run_pipeline("full", given, timeout_s=0.01, image=image)
    assert engine.ask("ps", "--quiet").stdout == before
