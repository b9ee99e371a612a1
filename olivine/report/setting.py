"""What stands beside every number: the data, the weak labels, the image encoder and the label fraction behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from olivine.artifacts import Artifact, Manifest
from olivine.report.trace import Trace, trace
from olivine.store import Store

_STAND_IN = "STAND-IN: "
LABEL_KINDS = {
    "simulated": "SIMULATED weak labels: the simulator's own renderings, made wrong on purpose. No labeler ran.",
    "truth": "Weak labels are the HAND LABELS themselves (an upper bound, not a result).",
    "import": "Weak labels were imported; how right they are was not measured.",
}
"""By kind of labeler, what its labels are."""
SYNTHETIC = "SYNTHETIC drives: ray-cast streets, not recordings."


@dataclass(frozen=True)
class Setting:
    """Facts that a number must not be shown without. Those of pretraining are None where no arm was pretrained."""

    synthetic: bool
    split: str
    num_scored_keyframes: int
    fraction: str
    num_labelled_keyframes: int
    label_kind: str | None
    label_accuracy: float | None
    label_coverage: float | None
    encoder: str | None
    encoder_note: str | None
    transfer: str | None = None
    """The data set of scans, where a backbone came from other drives."""

    def lines(self) -> list[str]:
        """The facts as sentences, the ones that weaken a claim first."""
        return [
            line for line in (self._drives(), self._labels(), self._encoder(), self._transfer(), self._scope()) if line
        ]

    def _drives(self) -> str:
        return SYNTHETIC if self.synthetic else ""

    def _labels(self) -> str:
        if self.label_kind is None:
            return ""
        line = LABEL_KINDS.get(self.label_kind, f"Weak labels: {self.label_kind}.")
        if self.label_accuracy is None or self.label_coverage is None:
            return line
        return (
            f"{line} {100 * self.label_accuracy:.1f} % of the labelled pairs are right, "
            f"{100 * self.label_coverage:.1f} % of the pairs are labelled."
        )

    def _encoder(self) -> str:
        if self.encoder is None:
            return ""
        if self.encoder_note:
            return f"{_STAND_IN}{self.encoder_note}"
        return f"Image encoder: {self.encoder}, pretrained and frozen."

    def _transfer(self) -> str:
        if self.transfer is None:
            return ""
        return f"Backbones were pretrained on other drives, and fine-tuned and scored on scans of {self.transfer}."

    def _scope(self) -> str:
        return (
            f"Fine-tuned on {self.fraction} of the train labels ({self.num_labelled_keyframes} keyframes), scored on "
            f"{self.num_scored_keyframes} keyframes of the split {self.split}."
        )


def caveats(manifest: Manifest) -> list[str]:
    """What about one artifact weakens every number that was made from it, as sentences."""
    summary, lines = manifest.summary, []
    if manifest.kind == "drives" and summary.get("synthetic"):
        lines.append(SYNTHETIC)
    if manifest.kind == "weak_labels" and summary.get("kind") in LABEL_KINDS:
        lines.append(LABEL_KINDS[summary["kind"]])
    if manifest.kind == "metrics" and (seen := summary.get("trained_on")):
        lines.append(f"NOT HELD OUT: {seen} of the {manifest.counts['keyframes']} scored keyframes were trained on.")
    if manifest.kind == "backbone" and (note := (summary.get("encoder") or {}).get("note")):
        lines.append(f"{_STAND_IN}{note}")
    return lines


def setting_lines(store: Store, metrics: Sequence[Artifact]) -> list[str]:
    """The facts behind `metrics`, for `olivine.report.table.print_table`."""
    return read_setting(trace(store, metrics)).lines()


def read_setting(traced: Trace) -> Setting:
    """The facts behind the runs of a trace."""
    scored, tuned = (traced.runs[0].metrics.manifest, traced.runs[0].segmenter.manifest)
    labels, backbone = traced.of_kind("weak_labels"), traced.of_kind("backbone")
    label_summary = labels.manifest.summary if labels else {}
    encoder = backbone.manifest.summary["encoder"] if backbone else {}
    drives = [artifact.manifest for artifact in traced.artifacts if artifact.manifest.kind == "drives"]
    return Setting(
        synthetic=any(manifest.summary["synthetic"] for manifest in drives),
        split=scored.summary["split"],
        num_scored_keyframes=scored.counts["keyframes"],
        fraction=tuned.summary["fraction"],
        num_labelled_keyframes=tuned.counts["keyframes"],
        label_kind=label_summary.get("kind"),
        label_accuracy=label_summary.get("accuracy"),
        label_coverage=label_summary.get("coverage"),
        encoder=encoder.get("encoder"),
        encoder_note=encoder.get("note"),
        transfer=traced.drives.manifest.summary.get("data_set") if len(drives) > 1 else None,
    )
