"""The losses, each a pure function of (batch, classes) logits that returns a scalar.

All are means over the mini-batch and sums over the classes: none divides by the number of classes.
"""

import torch.nn.functional as F
from torch import Tensor


def logit_regression(logits: Tensor, target: Tensor) -> Tensor:
    """L = 1/(2T) Σ_i ‖g(x_i) − z_i‖², T the mini-batch size (Ba & Caruana 2014; noisy teacher, equation 1)."""
    return (logits - target).square().sum(dim=1).mean() / 2


def soft_targets(logits: Tensor, target: Tensor, labels: Tensor, temperature: float, hard_loss_weight: float) -> Tensor:
    """L = (1 − λ)·CE(y, g) + λ·τ²·KL(softmax(z/τ) ‖ softmax(g/τ)) (Hinton, Vinyals & Dean 2015).

    Args:
        logits: the student's g, (batch, classes).
        target: the teacher's z, (batch, classes). With the logarithm of a distribution p as z, τ = 1 and λ = 1, this is
            KL(p ‖ softmax(g)): a student of an ensemble's mean distribution.
        labels: class indices y, (batch,).
        temperature: τ > 0.
        hard_loss_weight: 1 − λ, in [0, 1].
    """
    soft = F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(target / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    hard = F.cross_entropy(logits, labels)
    return hard_loss_weight * hard + (1 - hard_loss_weight) * temperature**2 * soft
