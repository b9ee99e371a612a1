"""KITTI's average precision once more, by plain loops over one threshold, object and detection at a time, with overlaps
of a geometry library. It shares no code with olivine."""

from __future__ import annotations

import math

import shapely
from shapely.affinity import rotate, translate

MIN_OVERLAP = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}
LIMITS = {"easy": (40, 0, 0.15), "moderate": (25, 1, 0.3), "hard": (25, 2, 0.5)}


def parse(text: str) -> list[dict]:
    boxes = []
    for line in filter(str.strip, text.splitlines()):
        kind, *rest = line.split()
        values = [float(item) for item in rest]
        keys = ("truncated", "occluded", "alpha", "x1", "y1", "x2", "y2", "h", "w", "l", "x", "y", "z", "ry", "score")
        boxes.append({"kind": kind.lower(), **dict(zip(keys, values, strict=False))})
    return boxes


def ground(box: dict) -> shapely.Polygon:
    half_l, half_w = box["l"] / 2, box["w"] / 2
    flat = shapely.Polygon([(half_l, half_w), (half_l, -half_w), (-half_l, -half_w), (-half_l, half_w)])
    return translate(rotate(flat, -box["ry"], origin=(0, 0), use_radians=True), box["x"], box["z"])


def overlap(one: dict, other: dict, view: str) -> float:
    """IoU; kept with the detection, since it is asked for at every threshold."""
    known = one.setdefault("overlaps", {})
    key = (id(other), view)
    if key not in known:
        known[key] = measure(one, other, view)
    return known[key]


def measure(one: dict, other: dict, view: str) -> float:
    if min(one["l"], one["w"], one["h"], other["l"], other["w"], other["h"]) <= 0:
        return 0.0
    first, second = ground(one), ground(other)
    common = first.intersection(second).area
    if view == "bev":
        return common / (first.area + second.area - common)
    height = max(0.0, min(one["y"], other["y"]) - max(one["y"] - one["h"], other["y"] - other["h"]))
    common *= height
    volumes = first.area * one["h"] + second.area * other["h"]
    return common / (volumes - common)


def state_of_object(box: dict, kind: str, level: str) -> str:
    min_height, max_occlusion, max_truncation = LIMITS[level]
    too_hard = (
        box["y2"] - box["y1"] <= min_height or box["occluded"] > max_occlusion or box["truncated"] > max_truncation
    )
    if box["kind"] == kind:
        return "neutral" if too_hard else "counts"
    return "neutral" if (kind, box["kind"]) in {("car", "van"), ("pedestrian", "person_sitting")} else "other"


def state_of_detection(box: dict, kind: str, level: str) -> str:
    if int(abs(box["y1"] - box["y2"])) < LIMITS[level][0]:
        return "neutral"
    return "counts" if box["kind"] == kind else "other"


def match(frame, kind, level, view, threshold):
    """(true positives, false positives, scores of the true ones); threshold None for the pass that finds scores."""
    objects, detections = frame
    taken, hits, scores = set(), 0, []
    for thing in objects:
        state = state_of_object(thing, kind, level)
        if state == "other":
            continue
        best, best_value, best_is_neutral = None, -math.inf, False
        for number, detection in enumerate(detections):
            other = state_of_detection(detection, kind, level)
            if other == "other" or number in taken:
                continue
            if threshold is not None and detection["score"] < threshold:
                continue
            value = overlap(detection, thing, view)
            if value <= MIN_OVERLAP[kind]:
                continue
            if threshold is None:
                if detection["score"] > best_value:
                    best, best_value, best_is_neutral = number, detection["score"], other == "neutral"
            elif other == "counts":
                if best is None or best_is_neutral or value > best_value:
                    best, best_value, best_is_neutral = number, value, False
            elif best is None:
                best, best_is_neutral = number, True
        if best is None:
            continue
        taken.add(best)
        if state == "counts" and not best_is_neutral:
            hits += 1
            scores.append(detections[best]["score"])
    wrong = sum(
        1
        for number, detection in enumerate(detections)
        if number not in taken
        and state_of_detection(detection, kind, level) == "counts"
        and (threshold is None or detection["score"] >= threshold)
    )
    return hits, wrong, scores


def average_precision(frames, kind, level, view) -> float:
    num_objects = sum(state_of_object(thing, kind, level) == "counts" for objects, _ in frames for thing in objects)
    scores = sorted((s for frame in frames for s in match(frame, kind, level, view, None)[2]), reverse=True)
    thresholds, reached = [], 0.0
    for index, score in enumerate(scores):
        left = (index + 1) / num_objects
        right = (index + 2) / num_objects if index + 1 < len(scores) else left
        if index + 1 < len(scores) and right - reached < reached - left:
            continue
        thresholds.append(score)
        reached += 1.0 / 40
    precision = [0.0] * 41
    for place, threshold in enumerate(thresholds):
        counted = [match(frame, kind, level, view, threshold) for frame in frames]
        hits, wrong = sum(item[0] for item in counted), sum(item[1] for item in counted)
        precision[place] = hits / (hits + wrong) if hits + wrong else 0.0
    return sum(max(precision[place:]) for place in range(1, 41)) / 40
