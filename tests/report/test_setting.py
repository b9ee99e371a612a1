from __future__ import annotations

from dataclasses import replace

from comparison import Compared

from olivine.report.setting import read_setting, setting_lines
from olivine.report.trace import trace


def test_everything_that_weakens_a_number_is_said_first(compared: Compared):
    drives, labels, encoder, scope = setting_lines(compared.store, compared.all)
    assert drives.startswith("SYNTHETIC drives")
    assert labels.startswith("SIMULATED weak labels")
    assert "% of the labelled pairs are right" in labels
    assert encoder.startswith("STAND-IN")
    assert scope == (
        "Fine-tuned on 1/2 by scene of the train labels (4 keyframes), scored on 2 keyframes of the split test."
    )


def test_a_random_start_alone_names_neither_labels_nor_encoder(compared: Compared):
    lines = setting_lines(compared.store, [compared.metrics["random", 0]])
    assert [line.split(" ")[0] for line in lines] == ["SYNTHETIC", "Fine-tuned"]


def test_what_is_real_is_not_called_simulated(compared: Compared):
    setting = read_setting(trace(compared.store, compared.all))
    real = replace(
        setting,
        synthetic=False,
        label_kind="import",
        label_accuracy=None,
        label_coverage=None,
        encoder="mobilesam",
        encoder_note=None,
    )
    assert real.lines()[:2] == [
        "Weak labels were imported; how right they are was not measured.",
        "Image encoder: mobilesam, pretrained and frozen.",
    ]
