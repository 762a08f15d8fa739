"""What every form of noise must do."""

import pytest
import torch
from support.noise import draw_factors

from study.distill.streams import Streams
from study.noise import FORMS
from study.noise.form import Form
from study.noise.settings import Noise

LOGITS = torch.randn(64, 5, generator=torch.Generator().manual_seed(2))
VANISHING = [form for form in FORMS if form.vanishes]


@pytest.mark.parametrize("form", VANISHING, ids=lambda form: form.name)
def test_unperturbed_logits_stay_bit_identical(form: type[Form]) -> None:
    drawn = draw_factors(64, 5, 0.7, 0.5, Streams.of(1), Noise(form=form.name))
    same = (form.applied(LOGITS, drawn) == LOGITS).all(dim=1)
    assert torch.equal(same, (drawn == form.unselected).all(dim=1))
    assert 10 < int(same.sum()) < 54


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize(("sigma", "alpha"), [(0.0, 1.0), (0.7, 0.0)])
def test_zero_noise_changes_nothing_except_for_scaled(form: type[Form], sigma: float, alpha: float) -> None:
    """With σ = 0 or α = 0 a logit stays bit-identical, or is 0 by the form `scaled`."""
    drawn = draw_factors(64, 5, sigma, alpha, Streams.of(1), Noise(form=form.name))
    perturbed = form.applied(LOGITS, drawn)
    assert torch.equal(perturbed, LOGITS if form.vanishes else torch.zeros_like(LOGITS) * LOGITS)


@pytest.mark.parametrize("per", ["sample", "batch", "image"])
def test_all_forms_have_the_same_draws(per: str) -> None:
    """The streams do not depend on the form, so that forms differ by what they make of ξ alone."""
    drawn = {
        form.name: draw_factors(20, 5, 0.7, 1.0, Streams.of(3), Noise.model_validate({"form": form.name, "per": per}))
        for form in FORMS
    }
    assert torch.equal(drawn["multiplicative"], 1 + drawn["additive"])
    assert torch.equal(drawn["scaled"], drawn["additive"])


def test_form_names_are_unique() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)
