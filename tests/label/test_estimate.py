"""What labelling will cost is said, and recorded, after the first new keyframe and before any other."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from olivine.artifacts.parts import save_part
from olivine.errors import DataError
from olivine.label.done import Done
from olivine.label.recipe import ExecutionRecipe, LabelRecipe
from olivine.label.stage import _label_keyframes
from olivine.packs import Entry
from olivine.progress import Progress
from olivine.store import open_store

TOKENS = ["a", "b", "c", "d", "e"]
SECONDS = 0.06


def done(token):
    return Done(Entry(token, {}, {}, {}), [], [], [], b"")


class Work:
    """Labels slowly; notes what was known when each keyframe began, and how many were under way."""

    is_slow = True
    recipe = LabelRecipe(execution=ExecutionRecipe(workers=3))

    def __init__(self, out, bad=()):
        self.out, self.bad, self.known, self.most_at_once = out, bad, {}, 0
        self._under_way, self._lock = 0, threading.Lock()

    def part_key(self, token):
        return f"parts/label-keyframes/{token}.json"

    def label(self, token):
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        self.known[token] = dict(self.out.recorder.facts)
        time.sleep(SECONDS)
        with self._lock:
            self._under_way -= 1
        return DataError("bad") if token in self.bad else done(token)


@pytest.fixture
def out(tmp_path):
    return SimpleNamespace(store=open_store(str(tmp_path / "store")), recorder=SimpleNamespace(facts={}))


def label(out, work, tokens=TOKENS):
    return list(_label_keyframes(out, work, tokens, Progress("label", len(tokens), "keyframes", shown=False)))


def test_the_first_keyframe_tells_before_any_other_begins(out, capsys):
    work = Work(out)
    results = label(out, work)
    assert [result.entry.keyframe for result in results] == TOKENS
    estimate = out.recorder.facts["estimate"]
    assert estimate["images"] == 4 * 6
    assert estimate["image_s"] >= SECONDS / 6
    assert estimate["hours"] == pytest.approx(24 * estimate["image_s"] / 3600, abs=1e-5)
    assert work.known.pop("a") == {}
    assert [facts["estimate"] for facts in work.known.values()] == [estimate] * 4
    assert work.most_at_once > 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"label: 24 images to go, {estimate['image_s']:.2g} s an image, about {estimate['hours']:.2g} h on this device"
    ]


def test_what_is_kept_or_bad_tells_nothing(out, capsys):
    work = Work(out, bad=("b",))
    save_part(out.store, work.part_key("a"), [], done("a").to_note())
    results = label(out, work)
    assert isinstance(results[1], DataError)
    assert work.known.keys() == set(TOKENS[1:])
    assert work.known["b"] == work.known["c"] == {}
    assert out.recorder.facts["estimate"]["images"] == 2 * 6
    label(out, work, ["f"])
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_quick_says_nothing(out, capsys):
    work = Work(out)
    work.is_slow = False
    assert len(label(out, work)) == 5
    assert out.recorder.facts == {}
    assert capsys.readouterr().err == ""
