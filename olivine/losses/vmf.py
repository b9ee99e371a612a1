"""Semantic consistency: each category's features follow one von Mises-Fisher distribution on the unit sphere.

f(z; mu, kappa) = K_D(kappa) exp(kappa <mu, z>). The module keeps the running mean feature of every category, from which
mu and kappa follow; the loss is the negative log-likelihood with both held fixed, so that its gradient pulls a
category's features towards their prototype with strength kappa. The deterministic counterpart, a Dirac distribution at
mu, pulls every category with the same strength.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Self

import torch
from torch import Tensor, distributed, nn

from olivine.errors import DataError, UsageError
from olivine.losses.bessel import log_scaled_bessel
from olivine.losses.log_partition import working_precision, zero_with_graph
from olivine.losses.ranks import num_ranks


def log_normalizer(concentration: Tensor, dim: int) -> Tensor:
    """Log of the normaliser K_D(kappa) = kappa^(D/2-1) / ((2 pi)^(D/2) I_(D/2-1)(kappa)), elementwise.

    Args:
        concentration: kappa >= 0, any shape and floating dtype; 0 gives the uniform distribution.
        dim: D, the dimension of the space around the sphere, at least 1.

    Returns:
        float64, same shape.

    Raises:
        UsageError: dim is below 1.

    >>> round(log_normalizer(torch.tensor(0.0), dim=3).exp().item() * 4 * math.pi, 12)
    1.0
    """
    if dim < 1:
        raise UsageError(f"dim is {dim}; features live in a space of at least 1 dimension")
    return -log_scaled_bessel(concentration, dim / 2 - 1) - dim / 2 * math.log(2 * math.pi)


def estimate_concentration(resultant: Tensor, dim: int) -> Tensor:
    """Sra's estimate kappa = R (D - R^2) / (1 - R^2) from the length R of the mean of unit vectors (Sra 2012, eq. 4).

    R is held below 1 by one part in a million, so that identical features give a large kappa and not an infinite one.

    >>> round(estimate_concentration(torch.tensor(0.5), dim=64).item(), 1)
    42.5
    """
    resultant = resultant.clamp(max=1 - 1e-6)
    return resultant * (dim - resultant**2) / (1 - resultant**2)


class VonMisesFisher(nn.Module):
    """Running statistics of each category's features, and the loss they define (the L_kl of the paper).

    `update` and `forward` are independent: the reference updates alone during the first 160 000 samples and then
    freezes the statistics and applies the loss; whoever trains decides, with the help of `samples_seen`.

    Attributes:
        mean_KD: running mean feature, float64, starts at zero. Stays float64 when the module is cast.
        num_updates_K: how many updates each category took part in.
        samples_seen: keyframes behind the statistics, over all ranks.
    """

    mean_KD: Tensor
    num_updates_K: Tensor
    samples_seen: Tensor

    def __init__(
        self,
        num_categories: int,
        dim: int,
        *,
        update_rate: float = 1e-4,
        corrected: bool = False,
        max_concentration: float | None = None,
        reduction: Literal["category", "point"] = "category",
        distribution: Literal["vmf", "dirac"] = "vmf",
    ) -> None:
        """Start with no statistics.

        Args:
            num_categories: K.
            dim: D, the width of the features.
            update_rate: weight of the newest batch in the running mean; 1e-4 in the reference.
            corrected: divide the running mean by 1 - (1 - update_rate)^n, which undoes its start at zero. The
                reference does not: its kappa then measures mostly how often a category occurs. Corrected kappa reaches
                hundreds and swamps the contrastive losses unless it is capped.
            max_concentration: cap on kappa; None for none, as in the reference.
            reduction: "category" averages over categories present (reference code), "point" over points (paper).
            distribution: "dirac" for the deterministic variant of the paper's Table 6c. Its formula is our reading, no
                public source has it: the pull to mu alone, in which kappa plays no part.

        Raises:
            UsageError: a size, the rate, the reduction or the distribution is out of range.
        """
        super().__init__()
        if num_categories < 1 or dim < 2:
            raise UsageError(
                f"von Mises-Fisher for {num_categories} categories in {dim} dimensions: needs >= 1 and >= 2"
            )
        if not 0 < update_rate < 1:
            raise UsageError(f"update_rate is {update_rate}; give a number between 0 and 1, e.g. 1e-4")
        if reduction not in ("category", "point"):
            raise UsageError(f"reduction is {reduction!r}; choose 'category' or 'point'")
        if distribution not in ("vmf", "dirac"):
            raise UsageError(f"distribution is {distribution!r}; choose 'vmf' or 'dirac'")
        self.update_rate = update_rate
        self.corrected = corrected
        self.max_concentration = max_concentration
        self.reduction = reduction
        self.distribution = distribution
        self.register_buffer("mean_KD", torch.zeros(num_categories, dim, dtype=torch.float64))
        self.register_buffer("num_updates_K", torch.zeros(num_categories, dtype=torch.int64))
        self.register_buffer("samples_seen", torch.zeros((), dtype=torch.int64))

    @property
    def resultant(self) -> Tensor:
        """R, the length of each category's mean feature: [K] float64 in [0, 1]; 0 for a category never seen."""
        length_K: Tensor = torch.linalg.vector_norm(self.mean_KD, dim=1)
        if not self.corrected:
            return length_K
        shrinkage_K = 1 - (1 - self.update_rate) ** self.num_updates_K.double()
        return torch.where(self.num_updates_K > 0, length_K / shrinkage_K, 0)

    @property
    def direction(self) -> Tensor:
        """Mu, the unit mean direction of each category: [K, D] float64; zero for a category never seen."""
        return nn.functional.normalize(self.mean_KD, dim=1, eps=torch.finfo(torch.float64).tiny)

    @property
    def concentration(self) -> Tensor:
        """Kappa of each category: [K] float64, capped at `max_concentration`; 0 for a category never seen."""
        concentration_K = estimate_concentration(self.resultant, self.mean_KD.shape[1])
        return concentration_K.clamp(min=0, max=self.max_concentration)

    @torch.no_grad()
    def update(self, features_ND: Tensor, categories_N: Tensor, *, num_samples: int = 0) -> None:
        """Move the running means towards this batch's means, over all ranks at once.

        Where torch.distributed is initialised this is a collective: every rank calls it, with no features if it has
        none. Sums and counts are reduced before the division, so the result does not depend on how the points are
        spread over ranks. Rows that are not finite (a step that mixed precision will skip) are left out.

        Args:
            features_ND: unit features, any floating dtype.
            categories_N: integer category of each; negative = ignored.
            num_samples: keyframes in this rank's batch, added to `samples_seen`.

        Raises:
            DataError: a category is not below `num_categories`.
        """
        self._require_known(categories_N)
        sums_KD, counts_K = self._sums_and_counts(features_ND.detach(), categories_N)
        total = torch.cat([sums_KD.flatten(), counts_K, counts_K.new_tensor([num_samples])])
        if num_ranks() > 1:
            distributed.all_reduce(total)
        sums_KD = total[: sums_KD.numel()].view_as(sums_KD)
        counts_K1 = total[sums_KD.numel() : -1, None]
        batch_mean_KD = sums_KD / counts_K1.clamp(min=1)
        rates_K1 = self.update_rate * (counts_K1 > 0).double()
        self.mean_KD.lerp_(batch_mean_KD, rates_K1.expand_as(batch_mean_KD))
        self.num_updates_K += counts_K1[:, 0] > 0
        self.samples_seen += total[-1].long()

    def forward(self, features_ND: Tensor, categories_N: Tensor) -> Tensor:
        """Mean negative log-likelihood of the features, mu and kappa held fixed (L_kl).

        `-log K_D(kappa_k) - kappa_k <mu_k, z_i>` for point i of category k, or `1 - <mu_k, z_i>` ("dirac"), averaged
        over the points of each category present and then over these categories, or over all points (`reduction`).

        Args:
            features_ND: unit features, any floating dtype.
            categories_N: integer category of each; points of negative and of never-seen categories do not count.

        Returns:
            A scalar in float32 (float64 for float64 features), of any sign: a density's logarithm ("dirac": in [0, 2]).
            Exactly 0, with a graph, when no point counts.

        Raises:
            DataError: a category is not below `num_categories`.
        """
        self._require_known(categories_N)
        counted_N = (categories_N >= 0) & (self.num_updates_K > 0)[categories_N.clamp(min=0)]
        features_ND, categories_N = working_precision(features_ND[counted_N]), categories_N[counted_N]
        if len(features_ND) == 0:
            return zero_with_graph(features_ND)
        offset_K, pull_KD = (term.to(features_ND.dtype) for term in self._offset_and_pull())
        losses_N = offset_K[categories_N] - (pull_KD[categories_N] * features_ND).sum(dim=1)
        if self.reduction == "point":
            return losses_N.mean()
        counts_K = torch.bincount(categories_N, minlength=len(offset_K))
        return (losses_N / counts_K[categories_N]).sum() / (counts_K > 0).sum()

    def _offset_and_pull(self) -> tuple[Tensor, Tensor]:
        """Both distributions are `offset_k - <pull_k, z>`, with these constants of each category, [K] and [K, D]."""
        if self.distribution == "dirac":
            return torch.ones_like(self.resultant), self.direction
        concentration_K = self.concentration
        pull_KD = concentration_K[:, None] * self.direction
        return -log_normalizer(concentration_K, self.mean_KD.shape[1]), pull_KD

    def _sums_and_counts(self, features_ND: Tensor, categories_N: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of each category's finite features, float64. A product: scattered sums are not repeatable."""
        finite_N1 = features_ND.isfinite().all(dim=1, keepdim=True)
        member_NK = (categories_N[:, None] == torch.arange(len(self.mean_KD), device=categories_N.device)) & finite_N1
        member_NK = member_NK.double()
        return member_NK.T @ torch.where(finite_N1, features_ND, 0).double(), member_NK.sum(dim=0)

    def _require_known(self, categories_N: Tensor) -> None:
        num_categories = len(self.mean_KD)
        if len(categories_N) and int(categories_N.max()) >= num_categories:
            raise DataError(
                f"category {int(categories_N.max())} among {num_categories} categories: "
                "num_categories must be the length of the weak labels' category list, and ignored pairs negative"
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow the module to its device but not to half precision, where an update of one part in 10 000 is lost."""
        mean_KD = self.mean_KD
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.mean_KD = mean_KD.to(self.mean_KD.device)
        return self
