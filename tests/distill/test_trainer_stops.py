"""A training that is stopped and continued, or that ends early, and its best weights."""

import pytest
from support.small_training import (
    CONVOLUTIONAL,
    DROPOUT,
    numbers_of,
    run_to_the_end,
    same_weights,
    stored_state,
    trained,
    trainer_of,
    trial,
)

from study.config import TrialConfig
from study.distill.evaluation import error_of

_TRIALS = {
    "baseline": trial(epochs=4),
    "labels": trial("labels", epochs=4),
    "fixed-noise": trial("noisy_teacher", sigma=0.5, alpha=0.5, epochs=4),
    "uniform-noise": trial("noisy_teacher", sigma={"uniform": (0.01, 1)}, alpha=0.5, epochs=4),
    "frozen-noise": trial("noisy_teacher", sigma=0.5, alpha=0.5, noise="frozen", epochs=4),
    "noisy-student": trial("noisy_student", sigma=0.5, alpha=0.5, epochs=4),
    "soft-targets": trial("soft_targets", sigma=0.5, alpha=0.5, epochs=4),
    "dropout": trial("noisy_teacher", sigma=0.5, alpha=0.5, epochs=4, network=DROPOUT),
    "sgd": trial(epochs=4, optimizer="sgd", momentum=0.9, weight_decay=0.001),
    "plain-sgd": trial(epochs=4, optimizer="sgd", momentum=0.0),
    "cosine": trial(epochs=4, schedule="cosine"),
    "batch-norm": trial(epochs=4, network=CONVOLUTIONAL),
    "bf16": trial("noisy_teacher", sigma=0.5, alpha=0.5, epochs=4, network=CONVOLUTIONAL, precision="bf16"),
}


@pytest.mark.parametrize("config", _TRIALS.values(), ids=_TRIALS)
def test_a_stopped_training_ends_with_the_same_weights(config: TrialConfig) -> None:
    undisturbed, first = trained(config), trainer_of(config)
    first.run_epoch()
    first.run_epoch()
    second = trainer_of(config)
    second.load_state_dict(stored_state(first))
    assert second.epoch == 2
    assert numbers_of(second) == numbers_of(first)
    run_to_the_end(second)
    assert same_weights(undisturbed, second)
    assert numbers_of(undisturbed) == numbers_of(second)
    for trainer in (undisturbed, second):
        trainer.load_best()
    assert same_weights(undisturbed, second)


def test_training_ends_after_patience_epochs() -> None:
    hopeless = trained(trial(epochs=20, patience=3, lr=1e-12))
    assert hopeless.best_epoch == 1
    assert hopeless.epoch == 4


def test_patience_of_zero_never_stops_a_training() -> None:
    assert trained(trial(epochs=6, patience=0, lr=1e-12)).epoch == 6


def test_patience_survives_a_stop() -> None:
    config = trial(epochs=20, patience=3, lr=1e-12)
    first, second = trainer_of(config), trainer_of(config)
    first.run_epoch()
    first.run_epoch()
    second.load_state_dict(stored_state(first))
    run_to_the_end(second)
    assert second.epoch == 4


def test_load_best_loads_the_weights_of_the_best_epoch() -> None:
    trainer = trained(trial("labels", epochs=7, patience=0, lr=0.1, seed=1))
    errors = [record.val_error for record in trainer.history]
    assert errors[-1] > min(errors)  # else this training shows nothing
    trainer.load_best()
    assert error_of(trainer.network, trainer.data.validation) == min(errors) == trainer.best_val_error
    assert trainer.best_epoch == errors.index(min(errors)) + 1  # the first of equals


def test_before_the_first_epoch_no_epoch_is_the_best() -> None:
    trainer = trainer_of(trial())
    assert (trainer.epoch, trainer.finished) == (0, False)
    assert trainer.best_val_error is trainer.best_epoch is None
