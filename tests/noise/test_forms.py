"""What every form of noise must do."""

import pytest
import torch

from study.distill.streams import Streams
from study.noise import FORMS
from study.noise.form import Form
from study.noise.perturbation import Perturbation, draw_factors
from study.values import NoiseKind


class Additive(Form):
    """z' = z + ξ: a form of noise that the project does not have."""

    name = "additive"
    neutral = 0.0

    @staticmethod
    def drawn(xi: torch.Tensor) -> torch.Tensor:
        return xi

    @staticmethod
    def applied(logits: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        return logits + drawn


@pytest.mark.parametrize("form", [*FORMS, Additive], ids=lambda form: form.name)
def test_unperturbed_logits_stay_bit_identical(form: type[Form]) -> None:
    drawn = draw_factors(64, 5, 0.7, 0.5, Streams.of(1), form)
    logits = torch.randn(64, 5, generator=torch.Generator().manual_seed(2))
    same = (form.applied(logits, drawn) == logits).all(dim=1)
    assert torch.equal(same, (drawn == form.neutral).all(dim=1))
    assert 10 < int(same.sum()) < 54


@pytest.mark.parametrize("kind", ["fresh", "frozen"])
def test_a_form_sees_the_same_draws_as_any_other(kind: NoiseKind) -> None:
    """The streams do not depend on the form, so that forms differ by what they make of ξ alone."""
    forms: list[type[Form]] = [*FORMS, Additive]
    first, second = (Perturbation(0.7, 1.0, kind, 20, 5, Streams.of(3), form) for form in forms)
    indices = torch.arange(20)
    torch.testing.assert_close(first.factors(indices), 1 + second.factors(indices), rtol=0, atol=0)


def test_form_names_are_unique() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)
