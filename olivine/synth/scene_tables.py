"""Collects the table rows of one scene while its keyframes are written."""

from __future__ import annotations

from dataclasses import dataclass, field

from olivine.nuscenes_categories import RAW_CATEGORY_NAMES
from olivine.synth.annotations import Annotation
from olivine.synth.poses import Pose, euler_rotation, quaternion_of
from olivine.synth.records import Row, Tables, attribute_tokens, token
from olivine.synth.rig import LIDAR, Rig


@dataclass
class SceneTables:
    """Rows of one scene. `seed` and `name` make its tokens unique between data sets."""

    seed: int
    name: str
    tables: Tables = field(default_factory=dict)

    def token(self, *parts: object) -> str:
        """A token of this scene."""
        return token(self.seed, self.name, *parts)

    def _add(self, table: str, row: Row) -> None:
        self.tables.setdefault(table, []).append(row)

    def add_scene(self, description: str, num_keyframes: int, log: Row, map_file: str) -> None:
        """The rows scene, log and map; `log` gives logfile, vehicle, date_captured and location."""
        log_token = self.token("log")
        self._add("log", {"token": log_token, **log})
        self._add(
            "map",
            {
                "token": self.token("map"),
                "log_tokens": [log_token],
                "category": "semantic_prior",
                "filename": map_file,
            },
        )
        self._add(
            "scene",
            {
                "token": self.token("scene"),
                "log_token": log_token,
                "nbr_samples": num_keyframes,
                "first_sample_token": self.token("sample", 0),
                "last_sample_token": self.token("sample", num_keyframes - 1),
                "name": self.name,
                "description": description,
            },
        )

    def add_rig(self, rig: Rig) -> None:
        """One calibrated_sensor row a sensor."""
        sensors: list[tuple[str, Pose, list[list[float]]]] = [(LIDAR, rig.lidar.pose, [])]
        sensors += [(camera.channel, camera.pose, camera.intrinsic_33.tolist()) for camera in rig.cameras]
        for channel, pose, intrinsic in sensors:
            self._add(
                "calibrated_sensor",
                {
                    "token": self.token("calibrated_sensor", channel),
                    "sensor_token": token("sensor", channel),
                    "translation": pose.translation_3.tolist(),
                    "rotation": pose.quaternion(),
                    "camera_intrinsic": intrinsic,
                },
            )

    def add_sample(self, number: int, num_keyframes: int, timestamp_us: int) -> None:
        """The sample row of keyframe `number`."""
        self._add(
            "sample",
            {
                "token": self.token("sample", number),
                "timestamp": timestamp_us,
                "prev": self._neighbour(number - 1, num_keyframes, "sample"),
                "next": self._neighbour(number + 1, num_keyframes, "sample"),
                "scene_token": self.token("scene"),
            },
        )

    def add_sample_data(
        self,
        number: int,
        num_keyframes: int,
        channel: str,
        timestamp_us: int,
        ego: Pose,
        file: str,
        size: tuple[int, int],
    ) -> str:
        """The rows sample_data and ego_pose of one sensor reading; `size` is (width, height). Returns the token."""
        own = self.token("sample_data", channel, number)
        self._add(
            "ego_pose",
            {
                "token": own,
                "timestamp": timestamp_us,
                "rotation": ego.quaternion(),
                "translation": ego.translation_3.tolist(),
            },
        )
        self._add(
            "sample_data",
            {
                "token": own,
                "sample_token": self.token("sample", number),
                "ego_pose_token": own,
                "calibrated_sensor_token": self.token("calibrated_sensor", channel),
                "timestamp": timestamp_us,
                "fileformat": "pcd" if channel == LIDAR else "jpg",
                "is_key_frame": True,
                "height": size[1],
                "width": size[0],
                "filename": file,
                "prev": self._neighbour(number - 1, num_keyframes, "sample_data", channel),
                "next": self._neighbour(number + 1, num_keyframes, "sample_data", channel),
            },
        )
        return own

    def add_point_labels(self, sample_data_token: str, lidarseg_file: str, panoptic_file: str) -> None:
        """The rows lidarseg and panoptic of one sweep."""
        for table, file in (("lidarseg", lidarseg_file), ("panoptic", panoptic_file)):
            self._add(table, {"token": sample_data_token, "sample_data_token": sample_data_token, "filename": file})

    def add_annotations(self, annotations_of_keyframes: list[list[Annotation]]) -> None:
        """The rows sample_annotation and instance, linked through time."""
        tracks: dict[int, list[tuple[int, Annotation]]] = {}
        for number, seen in enumerate(annotations_of_keyframes):
            for annotation in seen:
                tracks.setdefault(annotation.instance.number, []).append((number, annotation))
        for number in sorted(tracks):
            self._add_track(tracks[number])

    def _add_track(self, track: list[tuple[int, Annotation]]) -> None:
        instance = track[0][1].instance
        tokens = [self.token("sample_annotation", instance.number, keyframe) for keyframe, _ in track]
        self._add(
            "instance",
            {
                "token": self.token("instance", instance.number),
                "category_token": token("category", RAW_CATEGORY_NAMES[instance.raw_category]),
                "nbr_annotations": len(track),
                "first_annotation_token": tokens[0],
                "last_annotation_token": tokens[-1],
            },
        )
        for place, (keyframe, annotation) in enumerate(track):
            self._add(
                "sample_annotation",
                {
                    "token": tokens[place],
                    "sample_token": self.token("sample", keyframe),
                    "instance_token": self.token("instance", instance.number),
                    "visibility_token": annotation.visibility,
                    "attribute_tokens": attribute_tokens(instance.raw_category),
                    "translation": list(instance.centre_m),
                    "size": list(instance.size_wlh_m),
                    "rotation": quaternion_of(euler_rotation(instance.yaw_rad)),
                    "prev": tokens[place - 1] if place else "",
                    "next": tokens[place + 1] if place + 1 < len(tokens) else "",
                    "num_lidar_pts": annotation.num_lidar_points,
                    "num_radar_pts": 0,
                },
            )

    def _neighbour(self, number: int, num_keyframes: int, kind: str, *parts: object) -> str:
        return self.token(kind, *parts, number) if 0 <= number < num_keyframes else ""
