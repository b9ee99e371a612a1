"""Tiny synthetic drives, and the chain of all stages run once over them: what the tests of the stages look at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.steps import StepCall, run_step
from olivine.store import Store, open_store

VERSION = "v1.0-mini"
REPOSITORY = Path(__file__).resolve().parents[1]
# One keyframe in a shard of the drives: the key of a blob then says which keyframe was read.
SETTINGS = {
    "ingest": ["ingest.keyframes_per_shard=1"],
    "label": ["label.keyframes_per_shard=4"],
    "weigh": ["weigh.keyframes_per_shard=4", "weigh.pool_keyframes=2"],
}
PORTS = {
    "ingest": "drives",
    "label": "weak_labels",
    "weigh": "density_weights",
    "pretrain": "backbone",
    "finetune": "segmenter",
    "evaluate": "metrics",
}


@dataclass
class Chain:
    """The raw drives, the store, what each stage made (by its word), and what it read: blob key -> how often."""

    root: Path
    store: Store
    made: dict[str, Artifact] = field(default_factory=dict)
    reads: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def drives(self) -> Drives:
        return Drives(self.made["ingest"])

    def call(self, word: str, *settings: str, store: str | None = None) -> StepCall:
        """The call of a stage on the chain's artifacts."""
        inputs = {PORTS[made]: artifact.id for made, artifact in self.made.items()}
        return StepCall(
            store or self.store.url, "tiny_cpu", [*SETTINGS.get(word, []), *settings], inputs, str(self.root)
        )

    def run(self, word: str, *settings: str) -> Artifact:
        return quietly(word, self.call(word, *settings))

    def read_keyframes(self, word: str, pack: str) -> set[str]:
        """Keyframes of the drives whose bytes in `pack` (`shards`, `lidarseg`, `simulation`) a stage read."""
        index = {"shards": "index", "lidarseg": "lidarseg_index", "simulation": "simulation_index"}[pack]
        drives = self.made["ingest"]
        rows = [(blob.key, blob.path) for blob in drives.manifest.data if blob.path.startswith(f"{pack}/")]
        tokens = self.drives.tokens()
        assert len(rows) == len(tokens), f"{index}: one keyframe a shard"
        number = {f"{pack}/{position:05d}.tar": token for position, token in enumerate(tokens)}
        return {number[path] for key, path in rows if self.reads[word][key]}


def quietly(word: str, call: StepCall) -> Artifact:
    """Run a stage; the warnings of DeepSpeed's import are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run_step(word, call)


def run_chain(chain: Chain, words: tuple[str, ...] = tuple(PORTS)) -> Chain:
    for word in words:
        artifact = chain.run(word)
        chain.made[word] = artifact
        chain.reads[word] = Counter(artifact.store.traffic.reads)
    return chain


def command_line(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`olivine` as a user calls it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "olivine", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=worker_environment() | environment,
    )


def worker_environment() -> dict[str, str]:
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def chain_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw drives: 8 train scenes, 1 to select, 2 to test, one keyframe each."""
    pytest.importorskip("embreex")
    from olivine.synth import SynthRecipe, write_drives

    recipe = SynthRecipe(
        seed=3,
        num_select_scenes=1,
        train_keyframes_per_scene=1,
        select_keyframes_per_scene=1,
        test_keyframes_per_scene=1,
        image_width=192,
        image_height=108,
        num_columns=180,
    )
    root = tmp_path_factory.mktemp("chain") / "drives"
    write_drives(root, recipe)
    return root


@pytest.fixture
def own_root(chain_root: Path, tmp_path: Path) -> Path:
    """A copy of the raw drives that a test may break."""
    return Path(shutil.copytree(chain_root, tmp_path / "drives"))


@pytest.fixture(scope="session")
def chain(chain_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """All stages, run once with the recipe `tiny_cpu`. Tests must not change its store: see `own_store`."""
    return run_chain(Chain(chain_root, open_store(str(tmp_path_factory.mktemp("chain") / "store"))))


@pytest.fixture
def own_chain(chain: Chain, tmp_path: Path) -> Chain:
    """The chain with a copy of its store that a test may break or add to."""
    folder = Path(chain.store.url.removeprefix("file://"))
    store = open_store(str(shutil.copytree(folder, tmp_path / "own-store")))
    made = {word: Artifact(store, artifact.manifest) for word, artifact in chain.made.items()}
    return Chain(chain.root, store, made, chain.reads)


def damage(chain: Chain, artifact: Artifact, prefix: str) -> list[str]:
    """Overwrite every data object below `prefix`; return their names."""
    folder = Path(chain.store.url.removeprefix("file://"))
    paths = [blob.path for blob in artifact.manifest.data if blob.path.startswith(prefix)]
    for path in paths:
        file = folder / artifact.manifest.blob(path).key
        file.write_bytes(b"\xff" * file.stat().st_size)
    return paths


def copy_drives(artifact: Artifact, folder: Path) -> Artifact:
    """Drives in a store of their own, without labels."""
    source = artifact.store.url.removeprefix("file://")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("label", "parts"))
    return Artifact(open_store(str(folder)), artifact.manifest)
