"""What every method has: its settings as a pydantic model, and its loss.

Knows nothing of any single method, and loads PyTorch nowhere: a file of settings is read without it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from study.noise.settings import Noise, NoiseSetting
from study.values import Model, Share, Sigma, SigmaUnit, Uniform

if TYPE_CHECKING:
    from torch import Tensor

Combination = Literal["geometric_mean", "signed_geometric_mean", "mean_distribution"]
"""How several teachers are combined. `geometric_mean` is the geometric mean of their distributions (the arithmetic mean
of their logits), `signed_geometric_mean` that of the logits themselves, `mean_distribution` that of an ensemble."""

DEFAULT_COMBINATION: Combination = "geometric_mean"

SIGMA_MEANS = "a standard deviation, a list of them, or a uniform range"


@dataclass(frozen=True)
class Batch:
    """One mini-batch, as a loss sees it.

    Attributes:
        logits: the student's g, (batch, classes).
        target: the teachers' combined logits z, (batch, classes); None for a method without teachers.
        perturb: returns logits with the noise of this mini-batch, both (batch, classes); None where there is none.
        labels: returns the class indices y, (batch,).
    """

    logits: "Tensor"
    target: "Tensor | None"
    perturb: "Callable[[Tensor], Tensor] | None"
    labels: Callable[[], "Tensor"]

    @property
    def noisy_logits(self) -> "Tensor":
        return self.logits if self.perturb is None else self.perturb(self.logits)

    @property
    def clean_target(self) -> "Tensor":
        assert self.target is not None, "a method with teachers has a target"
        return self.target

    @property
    def noisy_target(self) -> "Tensor":
        return self.clean_target if self.perturb is None else self.perturb(self.clean_target)


class Method(Model):
    """A method: its fields are its settings, each with type, bounds, default and description.

    A field without a default must be given. A field with the default None is optional. The `title` of a field stands
    for it in the names of runs.

    Attributes:
        name: its name in a study file.
        has_teachers: whether it learns from teachers.
        takes_distributions: whether its target may be the logarithm of a mean distribution.
        perturbs_student: whether its noise is on the student's logits.
        without_noise: the method that it is where no logit is perturbed; None: itself.
        always_named: settings that the name of a run shows, whatever their value.
        never_named: settings that the name of a run leaves out.
        in_a_trial_without: what a trial has for a setting that its method does not have; None where it is not listed.
    """

    name: ClassVar[str]
    has_teachers: ClassVar[bool] = True
    takes_distributions: ClassVar[bool] = False
    perturbs_student: ClassVar[bool] = False
    without_noise: ClassVar[str | None] = None
    always_named: ClassVar[frozenset[str]] = frozenset()
    never_named: ClassVar[frozenset[str]] = frozenset()
    in_a_trial_without: ClassVar[Mapping[str, Any]] = {}

    def loss(self, batch: Batch) -> "Tensor":
        """The loss of one mini-batch, a scalar."""
        raise NotImplementedError(f"method {self.name} has no loss")

    @classmethod
    def completed(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a training: those that are given (not None), and the defaults of the others."""
        defaults = {name: field.default for name, field in cls.model_fields.items() if not field.is_required()}
        settings = {**defaults, **{name: given[name] for name in cls.model_fields if given.get(name) is not None}}
        return {name: value for name, value in settings.items() if value is not None}

    @classmethod
    def without_effect(cls, values: Mapping[str, Sequence[Any] | None], teachers: int) -> Iterator[tuple[str, str]]:
        """Settings that no training of a grid uses, each with the reason.

        Args:
            values: the values of every setting and of `combine`; None where it is not given.
            teachers: how many teachers there are.
        """
        if teachers == 1:
            yield "combine", "with one teacher"


class PerturbedMethod(Method):
    """A method whose logits may be perturbed by ξ ~ N(0, σ²I), for a share α of the samples (`study.noise`)."""

    in_a_trial_without: ClassVar[Mapping[str, Any]] = {
        "sigma": 0.0,
        "alpha": 0.0,
        "sigma_unit": "absolute",
        "noise": Noise(),
    }

    sigma: Sigma | None = Field(None, title="σ", description=SIGMA_MEANS)
    alpha: Share = Field(0.5, title="α", description="share of perturbed samples")
    sigma_unit: SigmaUnit = Field(
        "absolute",
        description="logit_rms: σ in units of the root mean square of the teachers' logits, for the form additive; σ "
        "of the other forms is relative to the logits anyway",
    )
    noise: NoiseSetting = Field(Noise(), description="how noise is drawn and applied")

    @classmethod
    def completed(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        settings = super().completed(given)
        if "sigma" in settings:
            return settings
        return {name: value for name, value in settings.items() if name not in PerturbedMethod.model_fields}

    @classmethod
    def without_effect(cls, values: Mapping[str, Sequence[Any] | None], teachers: int) -> Iterator[tuple[str, str]]:
        sigma, alpha = values["sigma"], values["alpha"]
        forms = {noise.of_form for noise in values["noise"] or (Noise(),)}
        vanishes = all(form.vanishes for form in forms)
        without = None
        if sigma is None:
            without = "without `sigma`"
        elif vanishes and not any(largest_sigma(value) for value in sigma):
            without = "with sigma 0"
        if without is not None:
            yield "alpha", without
        if without is None and vanishes and alpha is not None and not any(alpha):
            without = "with alpha 0"
            if not cls.model_fields["sigma"].is_required():
                yield "sigma", without
        if without is not None:
            yield "noise", without
            yield "sigma_unit", without
        elif not any(form.in_logit_units for form in forms):
            yield "sigma_unit", "with noise that is relative to each logit"
        # The logarithm of one teacher's distribution is its logits less a constant, which only noise tells apart.
        if not ("mean_distribution" in (values["combine"] or ()) and without is None):
            yield from super().without_effect(values, teachers)


def largest_sigma(sigma: Sigma) -> float:
    """The largest value that σ can have."""
    return sigma.high if isinstance(sigma, Uniform) else sigma
