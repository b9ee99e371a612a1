"""Fetch weights of foundation models, when asked to and never else: `olivine label fetch-weights NAME`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from olivine.errors import ConfigError, UsageError
from olivine.models.vfm.weights import EXTRA
from olivine.models.weights_path import weights_digest

_FILES = ("config.json", "model.safetensors")
_TOKENIZER = ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Source:
    """Weights that someone publishes. Sizes are those of four bytes a parameter."""

    part: str
    """What they are for: `detector` or `segmenter`."""
    settings: tuple[str, ...]
    """Recipe fields of `part` that go with them."""
    repository: str | None
    """On huggingface.co; None for those that come from the package index."""
    size_mb: int
    licence: str
    what: str


SOURCES = {
    "mobile_sam": Source(
        "segmenter", ("name=mobile_sam",), None, 41, "Apache-2.0", "MobileSAM, fit for a processor; digest pinned"
    ),
    "grounding-dino-tiny": Source(
        "detector", (), "IDEA-Research/grounding-dino-tiny", 689, "Apache-2.0", "Grounding DINO with Swin-T"
    ),
    "grounding-dino-base": Source(
        "detector", (), "IDEA-Research/grounding-dino-base", 933, "Apache-2.0", "Grounding DINO with Swin-B"
    ),
    "sam-vit-base": Source("segmenter", ("name=sam",), "facebook/sam-vit-base", 375, "Apache-2.0", "SAM with ViT-B"),
    "sam-vit-huge": Source("segmenter", ("name=sam",), "facebook/sam-vit-huge", 2564, "Apache-2.0", "SAM with ViT-H"),
    "sam2.1-hiera-tiny": Source(
        "segmenter", ("name=sam2",), "facebook/sam2.1-hiera-tiny", 156, "Apache-2.0", "SAM 2.1 with Hiera-T"
    ),
}


@dataclass(frozen=True)
class Fetched:
    """Where fetched weights are, their digest, and the settings of the recipe that use them."""

    path: Path
    sha256: str
    settings: list[str]


def fetch_weights(name: str, folder: Path) -> Fetched:
    """Fetch the weights `name` into `folder`/`name` (MobileSAM: into the cache), or find them there.

    Of files from huggingface.co only the digest that they have is known: keep it in the recipe, and they can never
    change unseen.

    Raises:
        UsageError: no such weights. ConfigError: they cannot be fetched. IntegrityError: not the pinned ones.
    """
    if name not in SOURCES:
        raise UsageError(f"there are no weights {name!r} to fetch: choose one of {', '.join(SOURCES)}.")
    source = SOURCES[name]
    settings = [f"label.{source.part}.{setting}" for setting in source.settings]
    if source.repository is None:
        from olivine.models.image.fetch import fetch

        path = fetch()
        return Fetched(path, weights_digest(path), settings)
    path = folder / name
    _download(source, path)
    sha256 = weights_digest(path)
    pins = [f"label.{source.part}.weights={path.resolve()}", f"label.{source.part}.sha256={sha256}"]
    return Fetched(path, sha256, settings + pins)


def _download(source: Source, path: Path) -> None:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ConfigError(f"fetching {source.repository} needs huggingface-hub: {EXTRA}.") from error
    wanted = [*_FILES, *(_TOKENIZER if source.part == "detector" else ())]
    try:
        snapshot_download(str(source.repository), allow_patterns=wanted, local_dir=path)
    # Everything that requests raises is an OSError.
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"{source.repository} cannot be fetched from huggingface.co: {reason} Copy {', '.join(_FILES)} into a "
            "folder by other means and name it in the recipe."
        ) from error
