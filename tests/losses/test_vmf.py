"""Von Mises-Fisher: the normaliser against mpmath, the statistics against plain loops and over ranks, the loss."""

import math
import subprocess
import sys
from pathlib import Path

import mpmath
import pytest
import torch

from olivine.errors import DataError, UsageError
from olivine.losses.vmf import VonMisesFisher, estimate_concentration, log_normalizer

mpmath.mp.dps = 50
WORKER = Path(__file__).parent / "vmf_worker.py"


def exact_log_normalizer(kappa: float, dim: int) -> float:
    kappa, order = mpmath.mpf(kappa), mpmath.mpf(dim) / 2 - 1
    bessel = mpmath.besseli(order, kappa)
    return float(mpmath.log(kappa**order / ((2 * mpmath.pi) ** (mpmath.mpf(dim) / 2) * bessel)))


@pytest.mark.parametrize("dim", [2, 3, 16, 64, 96, 256, 257, 384, 1024])
@pytest.mark.parametrize("kappa", [1e-3, 0.5, 20, 67.9, 89, 615, 1e4])
def test_log_normalizer_against_mpmath(dim, kappa):
    value = log_normalizer(torch.tensor(kappa, dtype=torch.float64), dim).item()
    assert value == pytest.approx(exact_log_normalizer(kappa, dim), rel=1e-9)


def test_log_normalizer_on_the_sphere_in_closed_form():
    kappa = torch.tensor([0.1, 1.0, 30.0], dtype=torch.float64)
    torch.testing.assert_close(log_normalizer(kappa, 3), (kappa / (4 * math.pi * kappa.sinh())).log())


def test_density_on_the_circle_integrates_to_one():
    angles = torch.linspace(0, 2 * math.pi, 2001, dtype=torch.float64)
    density = (log_normalizer(torch.tensor(5.0), 2) + 5 * angles.cos()).exp()
    assert torch.trapezoid(density, angles).item() == pytest.approx(1, rel=1e-10)


def test_log_normalizer_needs_a_dimension():
    with pytest.raises(UsageError, match="dim is 0"):
        log_normalizer(torch.tensor(1.0), 0)


@pytest.mark.parametrize(("resultant", "kappa"), [(0.0, 0.0), (0.5, 42.5), (0.8, 140.8), (0.9, 299), (0.95, 615)])
def test_estimate_of_the_concentration(resultant, kappa):
    assert estimate_concentration(torch.tensor(resultant), 64).item() == pytest.approx(kappa, rel=2e-3)


def test_identical_features_have_a_finite_concentration():
    assert estimate_concentration(torch.tensor(1.0, dtype=torch.float64), 64).isfinite()


def test_running_mean_follows_the_reference_recursion(unit_features):
    statistics = VonMisesFisher(3, 8, update_rate=0.1)
    expected = torch.zeros(3, 8, dtype=torch.float64)
    for step, categories in enumerate(([0, 0, 1, -1], [0, 1, 1, 1], [0, -1, -1, 0])):
        features = unit_features(4, seed=step).detach()
        statistics.update(features, torch.tensor(categories), num_samples=2)
        for category in {0, 1} & set(categories):
            mean = torch.stack([f for f, c in zip(features, categories, strict=True) if c == category]).mean(dim=0)
            expected[category] = 0.9 * expected[category] + 0.1 * mean
    torch.testing.assert_close(statistics.mean_KD, expected)
    assert statistics.num_updates_K.tolist() == [3, 2, 0]
    assert statistics.samples_seen.item() == 6
    torch.testing.assert_close(statistics.resultant, expected.norm(dim=1))
    torch.testing.assert_close(statistics.direction[0], expected[0] / expected[0].norm())


@pytest.mark.parametrize(("updates", "kappa"), [(10_000, 43.3), (1_000, 4.9), (100, 0.5)])
def test_uncorrected_kappa_measures_frequency(updates, kappa):
    """True R 0.8, true kappa 140.8: what 10 000 steps show of a category in every, every 10th, every 100th batch."""
    statistics = one_category(resultant=0.8, updates=updates)
    assert statistics.concentration.item() == pytest.approx(kappa, rel=0.03)


def one_category(resultant: float, updates: int, **options) -> VonMisesFisher:
    """Statistics after equal updates with two features whose mean has the length `resultant`, in closed form."""
    statistics = VonMisesFisher(1, 64, **options)
    statistics.mean_KD[0, 0] = resultant * (1 - (1 - 1e-4) ** updates)
    statistics.num_updates_K[0] = updates
    return statistics


@pytest.mark.parametrize("updates", [1, 100, 10_000])
def test_correction_undoes_the_start_at_zero(updates):
    statistics = one_category(resultant=0.8, updates=updates, corrected=True)
    assert statistics.resultant.item() == pytest.approx(0.8, rel=1e-9)
    assert statistics.concentration.item() == pytest.approx(140.8, rel=1e-3)


def test_concentration_can_be_capped():
    statistics = one_category(resultant=0.95, updates=10_000, corrected=True, max_concentration=64.0)
    assert statistics.concentration.item() == 64


def test_statistics_do_not_depend_on_the_number_of_ranks(tmp_path):
    ranks = [
        subprocess.Popen([sys.executable, WORKER, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for rank in range(4)
    ]
    errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0, 0], "\n".join(errors)
    single = torch.load(tmp_path / "state1.0.pt")
    assert single["num_updates_K"].tolist() == [3, 3, 3, 1, 3]
    assert single["samples_seen"].item() == 12
    for path in tmp_path.glob("state*.pt"):
        state = torch.load(path)
        assert torch.equal(state["num_updates_K"], single["num_updates_K"])
        assert torch.equal(state["samples_seen"], single["samples_seen"])
        torch.testing.assert_close(state["mean_KD"], single["mean_KD"], rtol=1e-12, atol=1e-15)


def written_out(statistics, features, categories, reduction):
    """L_kl term by term with mpmath's normaliser."""
    per_category = {}
    for feature, category in zip(features, categories.tolist(), strict=True):
        if category < 0 or statistics.num_updates_K[category] == 0:
            continue
        kappa, mu = statistics.concentration[category], statistics.direction[category]
        term = -exact_log_normalizer(kappa.item(), features.shape[1]) - kappa * (mu @ feature)
        per_category.setdefault(category, []).append(term)
    if reduction == "point":
        return torch.stack([term for terms in per_category.values() for term in terms]).mean()
    return torch.stack([torch.stack(terms).mean() for terms in per_category.values()]).mean()


@pytest.fixture(params=["category", "point"])
def trained(request, unit_features):
    """Statistics of categories 0 to 3 of 6; category 4 and 5 were never seen."""
    return statistics_of_four(unit_features, reduction=request.param)


def statistics_of_four(unit_features, **options):
    statistics = VonMisesFisher(6, 8, update_rate=0.3, **options)
    for step in range(3):
        statistics.update(unit_features(20, seed=step), torch.arange(20) % 4)
    return statistics


def test_loss_equals_the_written_out_form_and_its_gradient(trained, unit_features):
    features, categories = unit_features(9, seed=7), torch.tensor([0, 0, 1, -1, 4, 2, 0, 2, 2])
    ours, expected = trained(features, categories), written_out(trained, features, categories, trained.reduction)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-9)
    torch.testing.assert_close(*[torch.autograd.grad(loss, features)[0] for loss in (ours, expected)])
    assert torch.autograd.gradcheck(lambda rows: trained(rows, categories), features)


@pytest.mark.parametrize("reduction", ["category", "point"])
def test_dirac_pulls_to_the_mean_direction_whatever_the_concentration(unit_features, reduction):
    statistics = statistics_of_four(unit_features, reduction=reduction, distribution="dirac")
    features, categories = unit_features(9, seed=7), torch.tensor([0, 0, 1, -1, 4, 2, 0, 2, 2])
    per_category = {}
    for feature, category in zip(features.tolist(), categories.tolist(), strict=True):
        if 0 <= category < 4:
            mean = statistics.mean_KD[category].tolist()
            cosine = sum(a * b for a, b in zip(mean, feature, strict=True)) / math.hypot(*mean)
            per_category.setdefault(category, []).append(1 - cosine)
    means = [sum(terms) / len(terms) for terms in per_category.values()]
    points = [term for terms in per_category.values() for term in terms]
    expected = sum(means) / len(means) if reduction == "category" else sum(points) / len(points)
    assert statistics(features, categories).item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda rows: statistics(rows, categories), features)
    statistics.mean_KD *= 0.1
    assert statistics(features, categories).item() == pytest.approx(expected, rel=1e-12)


def test_dirac_in_half_precision_and_with_nothing_to_compare(unit_features):
    statistics = statistics_of_four(unit_features, distribution="dirac")
    features = unit_features(8, dtype=torch.float16)
    loss = statistics(features, torch.arange(8) % 4)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(statistics(features.detach().double(), torch.arange(8) % 4).item(), rel=1e-5)
    assert features.grad.isfinite().all()
    nothing = unit_features(2)
    loss = statistics(nothing, torch.tensor([4, -1]))
    loss.backward()
    assert loss.item() == 0
    assert nothing.grad.count_nonzero() == 0


def test_loss_leaves_the_statistics_alone(trained, unit_features):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained(unit_features(4), torch.arange(4)).backward()
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert list(trained.parameters()) == []


@pytest.mark.parametrize("categories", [[], [-1, -1], [4, 5]], ids=["no point", "ignored", "never seen"])
def test_nothing_to_compare_is_zero_with_a_graph(trained, unit_features, categories):
    features = unit_features(len(categories))
    loss = trained(features, torch.tensor(categories, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert features.grad.count_nonzero() == 0


def test_statistics_go_on_from_their_checkpoint(trained, unit_features):
    resumed = VonMisesFisher(6, 8, update_rate=0.3)
    resumed.load_state_dict(trained.state_dict())
    for statistics in (trained, resumed):
        statistics.update(unit_features(20, seed=9), torch.arange(20) % 5)
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in resumed.state_dict().items())


def test_one_all_reduce_an_update(trained, unit_features, monkeypatch):
    calls = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", calls.append)
    trained.update(unit_features(20), torch.arange(20) % 4)
    assert [call.shape for call in calls] == [(6 * 8 + 6 + 1,)]


def test_nothing_is_ever_nan(unit_features):
    statistics = VonMisesFisher(3, 8, corrected=True)
    features = unit_features(4, dtype=torch.float32).detach()
    features[1, 3], features[2, 0] = float("nan"), float("inf")
    statistics.update(features, torch.tensor([0, 0, 1, -1]))
    statistics.update(features[:0], torch.zeros(0, dtype=torch.int64))
    assert statistics.num_updates_K.tolist() == [1, 0, 0]
    torch.testing.assert_close(statistics.mean_KD[0].float(), 1e-4 * features[0])
    derived = [statistics.resultant, statistics.direction, statistics.concentration]
    assert all(value.isfinite().all() for value in [*statistics.buffers(), *derived])
    assert statistics(features[:1], torch.tensor([0])).isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(trained, unit_features, dtype):
    trained = trained.to(dtype)
    features = unit_features(8, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trained.update(features, torch.arange(8) % 4)
        loss = trained(features, torch.arange(8) % 4)
    loss.backward()
    assert trained.mean_KD.dtype == torch.float64
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(trained(features.detach().double(), torch.arange(8) % 4).item(), rel=1e-5)
    assert features.grad.isfinite().all()


def test_a_category_beyond_the_list_is_an_error(trained, unit_features):
    for use in (trained, trained.update):
        with pytest.raises(DataError, match="category 6 among 6"):
            use(unit_features(2), torch.tensor([0, 6]))


@pytest.mark.parametrize(
    "options",
    [
        {"num_categories": 0},
        {"dim": 1},
        {"update_rate": 0.0},
        {"update_rate": 1.0},
        {"reduction": "sum"},
        {"distribution": "normal"},
    ],
)
def test_wrong_settings_are_refused(options):
    with pytest.raises(UsageError):
        VonMisesFisher(**{"num_categories": 3, "dim": 8, **options})
