"""Named recipes and their overrides."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from olivine.errors import UsageError
from olivine.models.network_recipe import IntensityRecipe
from olivine.recipes import METHODS, RECIPES, SCALES, Recipe, load_recipe, override
from olivine.recipes.detection import load_detect_recipe
from olivine.stages import WORDS


def fields(model, path=""):
    for name, value in model:
        yield (f"{path}{name}", value)
        if isinstance(value, BaseModel):
            yield from fields(value, f"{path}{name}.")


NAMES = [*RECIPES, *(f"{method}@{scale}" for method in METHODS for scale in SCALES)]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_whole_and_named_and_survives_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert set(WORDS) < set(type(recipe).model_fields)
    assert Recipe.model_validate(json.loads(json.dumps(recipe.resolved()))) == recipe


@pytest.mark.parametrize("name", NAMES)
def test_pretraining_and_fine_tuning_share_the_network(name):
    recipe = load_recipe(name)
    assert (recipe.pretrain is None) == name.startswith("random")
    tuned = recipe.finetune.network
    assert (tuned.intensity is not None) == ("semantickitti" in name), "what belongs to the data may differ"
    assert recipe.pretrain is None or recipe.pretrain.network == tuned.model_copy(update={"intensity": None})


TERMS = {
    "pointcontrast": {"views"},
    "depthcontrast": {"momentum"},
    "ppkt": {"point_pixel"},
    "ppkt_strided": {"point_pixel"},
    "slidr": {"superpixel"},
    "st_slidr": {"superpixel"},
    "seal": {"superpixel", "temporal"},
    "scalr": {"regression"},
    "olivine": {"point_pixel", "category", "consistency"},
    "olivine_v1": {"point_pixel", "category", "consistency"},
    "olivine_plus": {"point_pixel", "category", "consistency"},
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", TERMS)
def test_a_method_is_its_terms(method, scale):
    recipe = load_recipe(f"{method}@{scale}")
    pretrain = recipe.pretrain
    flat = {name: getattr(pretrain, f"weight_{name}") for name in ("point_pixel", "category", "consistency")}
    nested = {
        name: getattr(pretrain, name).weight for name in ("superpixel", "temporal", "regression", "views", "momentum")
    }
    assert {name for name, weight in (flat | nested).items() if weight > 0} == TERMS[method]
    assert pretrain.method == method
    assert recipe.label.superpixels == {"slidr": "slic", "st_slidr": "slic", "seal": "masks"}.get(method, "none")


def test_methods_share_everything_that_is_not_theirs():
    """Equal budget: what is not of the objective is the base's, so that a comparison compares methods."""
    base = load_recipe("demo")
    for method in TERMS:
        recipe = load_recipe(f"{method}@demo")
        assert recipe.finetune == base.finetune
        assert recipe.ingest == base.ingest
        for name in ("network", "optimizer", "epochs", "batch_size", "encoder", "embedding_dim", "temperature", "seed"):
            assert getattr(recipe.pretrain, name) == getattr(base.pretrain, name), (method, name)


def test_all_terms_off_is_refused():
    off = [f"pretrain.weight_{name}=0" for name in ("point_pixel", "category", "consistency")]
    with pytest.raises(UsageError, match="every term has the weight 0"):
        load_recipe("olivine", off)


def test_every_field_has_a_docstring():
    def undocumented(model, path):
        for name, info in type(model).model_fields.items():
            if not info.description and path:
                yield f"{path}{name}"
            value = getattr(model, name)
            if isinstance(value, BaseModel):
                yield from undocumented(value, f"{path}{name}.")

    assert list(undocumented(load_recipe("olivine"), "")) == []


def test_the_headline_recipe_is_the_papers():
    """Values of the released configuration (V3)."""
    recipe = load_recipe("olivine")
    pretrain, finetune = recipe.pretrain, recipe.finetune
    assert (pretrain.epochs, pretrain.batch_size, pretrain.num_pairs, pretrain.temperature) == (50, 16, 4096, 0.07)
    assert (pretrain.weight_point_pixel, pretrain.weight_category, pretrain.weight_consistency) == (0.5, 0.5, 1.0)
    assert (pretrain.optimizer.name, pretrain.optimizer.lr, pretrain.optimizer.weight_decay) == ("sgd", 0.5, 1e-4)
    assert (pretrain.consistency.update_rate, pretrain.consistency.statistics_samples) == (1e-4, 160_000)
    assert pretrain.network.widths == (32, 32, 64, 128, 256, 256, 128, 96, 96)
    assert (pretrain.network.coordinates, pretrain.network.voxel_size) == ("cylindrical", (0.1, 1.0, 0.1))
    assert (finetune.optimizer.lr, finetune.head_lr, finetune.random_lr) == (0.02, 2.0, 0.05)
    assert (finetune.every_nth, finetune.epochs, finetune.batch_size, finetune.bn_momentum) == (100, 100, 16, 0.02)
    assert (finetune.splits, finetune.fraction_unit) == ("all_train", "scene")
    assert (recipe.ingest.version, recipe.ingest.max_camera_lag_ms, recipe.weigh.variant) == (
        "v1.0-trainval",
        100,
        "both",
    )


@pytest.mark.parametrize(
    ("scale", "every_nth", "epochs"),
    [("paper", 100, 100), ("paper_5", 20, 50), ("paper_10", 10, 50), ("paper_25", 4, 50), ("paper_100", 1, 50)],
)
def test_more_labels_are_fine_tuned_at_the_papers_rates(scale, every_nth, epochs):
    """1, 5, 10, 25, 100 % of 700 scenes; all else is as at 1 %, so that one backbone serves them all."""
    base, recipe = load_recipe("slidr"), load_recipe(f"slidr@{scale}")
    assert recipe.finetune == base.finetune.model_copy(update={"every_nth": every_nth, "epochs": epochs})
    assert recipe.pretrain == base.pretrain


def test_linear_probing_trains_the_head_alone_on_all_labels():
    base, recipe = load_recipe("olivine"), load_recipe("olivine@paper_probe")
    finetune = recipe.finetune
    assert (finetune.frozen, finetune.head_lr, finetune.every_nth) == ("augmented", 0.05, 1)
    assert (finetune.epochs, finetune.batch_size) == (50, 16)
    assert recipe.pretrain == base.pretrain


@pytest.mark.parametrize(("scale", "every_nth"), [("waffleiron", 100), ("waffleiron_10", 10), ("waffleiron_100", 1)])
def test_waffleiron_is_trained_as_its_paper_does(scale, every_nth):
    recipe = load_recipe(f"olivine@{scale}")
    finetune = recipe.finetune
    assert recipe.pretrain.network == finetune.network
    assert (finetune.network.kind, finetune.network.waffleiron.width, finetune.network.waffleiron.depth) == (
        "waffleiron",
        384,
        48,
    )
    assert (finetune.optimizer.name, finetune.optimizer.lr, finetune.optimizer.weight_decay) == ("adamw", 1e-3, 3e-3)
    assert (finetune.every_nth, finetune.batch_size) == (every_nth, 4)
    assert finetune.epochs == (100 if every_nth == 100 else 45)
    assert load_recipe(f"random@{scale}").finetune == finetune


@pytest.mark.parametrize("method", ["olivine", "ppkt", "slidr"])
def test_voxelnet_is_pretrained_as_for_detection(method):
    """What table 4 starts from: values of the released configuration, but for the intensity."""
    base, recipe = load_recipe(method), load_recipe(f"{method}@voxelnet")
    pretrain, network = recipe.pretrain, recipe.pretrain.network
    assert (network.kind, network.voxelnet.voxel_size, network.voxelnet.cells) == (
        "voxelnet",
        (0.1, 0.1, 0.2),
        (1024, 1024, 40),
    )
    assert (network.voxelnet.radius_m, network.voxelnet.height_m) == (51.2, (-5.0, 3.0))
    assert (network.voxelnet.max_points_per_voxel, network.voxelnet.max_voxels) == (10, 60_000)
    assert network.voxelnet.widths == load_detect_recipe("second").finetune.widths == (16, 32, 64, 64, 128)
    assert (pretrain.optimizer.lr, pretrain.bn_momentum) == (0.01, 0.01)
    assert (pretrain.sampling, pretrain.radial_bin_m, pretrain.radial_rounding) == ("batch", 1.0, "nearest")
    assert pretrain.sampled == "embeddings"
    assert recipe.label.slic.num_segments == 30
    changed = {"network", "optimizer", "bn_momentum", "radial_bin_m", "radial_rounding"}
    for name in set(type(pretrain).model_fields) - changed:
        assert getattr(pretrain, name) == getattr(base.pretrain, name), name
    assert pretrain.optimizer == base.pretrain.optimizer.model_copy(update={"lr": 0.01})
    assert (base.pretrain.radial_bin_m, base.pretrain.radial_rounding, base.label.slic.num_segments) == (
        0.1,
        "down",
        150,
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_pretrained_voxelnet_sees_the_intensities_of_the_detector(method):
    recipe = load_recipe(f"{method}@voxelnet")
    # nuScenes has 0..255, KITTI 0..1.
    for network in [recipe.finetune.network] + ([recipe.pretrain.network] if recipe.pretrain else []):
        seen = network.intensity_scale * 255
        assert seen == pytest.approx(load_detect_recipe("second").finetune.intensity_scale)


@pytest.mark.parametrize(
    ("name", "every_nth", "epochs"),
    [
        ("semantickitti", 100, 100),
        ("semantickitti_5", 20, 50),
        ("semantickitti_10", 10, 50),
        ("semantickitti_20", 5, 50),
        ("semantickitti_100", 1, 50),
    ],
)
def test_the_papers_protocol_on_semantickitti(name, every_nth, epochs):
    recipe = load_recipe(name)
    finetune = recipe.finetune
    assert (finetune.every_nth, finetune.epochs, finetune.batch_size) == (every_nth, epochs, 10)
    assert (finetune.optimizer.lr, finetune.head_lr, finetune.random_lr) == (0.05, 2.0, 0.05)
    assert (finetune.fraction_unit, finetune.splits, finetune.voxel_label) == ("scan", "all_train", "first")
    assert finetune.network.intensity == IntensityRecipe(scale=1.0, offset=1.0, for_max=1.0)
    assert recipe.ingest.dataset == "semantickitti"
    assert recipe.pretrain == load_recipe("olivine").pretrain


def test_the_improved_mode_brings_intensities_to_one_range():
    network = load_recipe("olivine_plus@semantickitti").finetune.network
    assert network.intensity == IntensityRecipe(scale=255.0, for_max=1.0)
    assert network.intensity_scale * network.intensity.scale == pytest.approx(1.0)
    assert load_recipe("olivine_plus").finetune.network.intensity is None


def test_the_demo_holds_select_back():
    assert load_recipe("demo").finetune.splits == "train"


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("finetune.seed=3", "finetune.seed", 3),
        ("ingest.version=v1.0-mini", "ingest.version", "v1.0-mini"),
        ('ingest.version="2"', "ingest.version", "2"),
        ("pretrain.network.voxel_size=[1,2,3]", "pretrain.network.voxel_size", (1.0, 2.0, 3.0)),
        ("label.folder=null", "label.folder", None),
        ("pretrain.optimizer.clip_norm=2.5", "pretrain.optimizer.clip_norm", 2.5),
        ("label.classes=a=b", "label.classes", "a=b"),
    ],
)
def test_an_override_changes_that_field_alone(assignment, path, value):
    before, after = (dict(fields(load_recipe("olivine", given))) for given in ([], [assignment]))
    changed = {name for name in before if before[name] != after[name]}
    parents = {path.rsplit(".", count)[0] for count in range(path.count(".") + 1)}
    assert after[path] == value
    assert changed <= parents


def test_the_last_override_wins():
    assert load_recipe("tiny_cpu", ["finetune.seed=1", "finetune.seed=2"]).finetune.seed == 2


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("finetune.sed=3", r"'finetune.sed=3' sets nothing: write stage.field=value. Known here: network, every_nth"),
        ("finetuna.seed=3", "sets nothing.*Known here: name, scale, ingest, label, weigh"),
        ("pretrain.network.size=3", "Known here: kind, coordinates, voxel_size"),
        ("pretrain.seed.x=3", "sets nothing"),
        ("name=other", "sets nothing"),
        ("seed", "sets nothing"),
        ("", "sets nothing"),
        ("finetune.seed=-1", r"recipe tiny_cpu: finetune.seed = -1: Input should be greater than or equal to 0"),
        ("finetune.seed=2147483648", "finetune.seed = 2147483648: Input should be less than 2147483648"),
        ("finetune.seed=two", "finetune.seed = 'two': Input should be a valid integer"),
        ("pretrain.optimizer.lr=NaN", "pretrain.optimizer.lr = nan"),
        ("weigh.variant=neither", "weigh.variant = 'neither': Input should be 'uniform', 'density'"),
        ("pretrain.network.voxel_size=[1,2]", "pretrain.network.voxel_size"),
        ("finetune.curve_points=2", None),
        ("finetune.splits=all_train", "curve_points needs splits=train"),
    ],
)
def test_what_an_override_cannot_set(assignment, message):
    if message is None:
        assert load_recipe("tiny_cpu", [assignment]).finetune.curve_points == 2
        return
    with pytest.raises(UsageError, match=message):
        load_recipe("tiny_cpu", [assignment])


@settings(max_examples=40)
@given(st.text(max_size=60))
@example("ingest.version=" + "[" * 100_000)
@example("finetune.seed=" + "1" * 5000)
@example("ingest.version=\ud800")
def test_any_text_is_a_recipe_or_a_usage_error(text):
    for assignment in (text, f"finetune.seed={text}", f"ingest.version={text}", f"pretrain.network={text}"):
        try:
            override(load_recipe("tiny_cpu"), [assignment])
        except UsageError as error:
            assert str(error)


def test_no_such_recipe():
    with pytest.raises(
        UsageError, match=r"there is no recipe 'nope': choose one of random, pointcontrast, .*METHOD@SCALE"
    ):
        load_recipe("nope")
    for odd in ("olivine@", "@demo", "demo@demo", "olivine@nope", "paper"):
        with pytest.raises(UsageError, match="there is no recipe"):
            load_recipe(odd)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("olivne", "olivine"), ("slider@demo", "slidr@demo"), ("tiny-cpu", "tiny_cpu"), ("ppkt@paper10", "ppkt@paper_10")],
)
def test_a_recipe_with_a_slip_is_guessed(name, meant):
    with pytest.raises(UsageError, match=f"there is no recipe '{name}': did you mean '{meant}'"):
        load_recipe(name)


def test_reading_a_recipe_loads_no_torch():
    code = "import olivine.recipes, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
