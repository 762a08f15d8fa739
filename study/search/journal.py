"""The journal: an Optuna storage that knows every trial of a study, and the only thing a resume goes by.

Works on stages. A stage is an Optuna study; a trial that was asked for and not told is still to be done, whatever
happened to the process that asked. Knows nothing of Ray or MLflow. One process at a time may write to a study's
journal (the study's lock sees to that).
"""

from collections.abc import Sequence

import optuna
from optuna.exceptions import OptunaError
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import BaseTrial, FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from study.config import Outcome, Stage, TrialConfig
from study.errors import UserError
from study.records import EpochRecord, TrialReport
from study.search.sources import Source
from study.tracking.address import told, without_credentials

OUTCOME, REASON = "outcome", "reason"
"""User attributes of a trial: how it ended (`pruned` as soon as that is decided), and why where it failed."""


class StageJournal:
    """One stage of a study in its journal.

    Args:
        storage: where.
        study: the study's name.
        stage: which stage it is.
        source: where its trials come from.
        name: what the stage is called where there are several of its kind (`teacher`, `teacher-1`); its trials' ids
            begin with it.
    """

    def __init__(self, storage: BaseStorage, study: str, stage: Stage, source: Source, name: str | None = None) -> None:
        self.stage, self.source, self.name = stage, source, name or stage
        self._storage = storage
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{study}.{self.name}",
            directions=["minimize"] * source.objectives,
            sampler=RandomSampler(seed=0),  # completes a proposal that a kill broke off; `Source.next` has its own
            pruner=source.pruner,
            load_if_exists=True,
        )
        # What failed when the study last ran is made up for: the reason may be mended.
        self._forgiven = {t.number for t in self._trials() if t.user_attrs.get(OUTCOME) == "failed"}

    def unfinished(self) -> list[tuple[int, TrialConfig]]:
        """Trials that were asked for and never told, oldest first."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [self._identified(optuna.Trial(self._study, trial._trial_id)) for trial in running]

    def ask(self) -> tuple[int, TrialConfig] | None:
        """One more trial's number and configuration, or None when the stage has them all."""
        trial = self.source.next(self._study, self._forgiven)
        return None if trial is None else self._identified(trial)

    def report(self, number: int, epochs: Sequence[EpochRecord]) -> bool:
        """Keep a running trial's epochs; those that are known already change nothing.

        Returns:
            whether it is to be stopped here. That stands from then on, whoever asks again.
        """
        trial = self._trial(number)
        if trial.user_attrs.get(OUTCOME) == "pruned":
            return True
        for record in epochs:
            if record.epoch in trial.intermediate_values:
                continue
            self._keep(trial, record)
            if self._study.pruner.prune(self._study, self._trial(number)):
                self._storage.set_trial_user_attr(trial._trial_id, OUTCOME, "pruned")
                return True
        return False

    def keep(self, number: int, epochs: Sequence[EpochRecord]) -> None:
        """Keep the epochs of a trial that has ended."""
        trial = self._trial(number)
        for record in epochs:
            if not trial.state.is_finished() and record.epoch not in trial.intermediate_values:
                self._keep(trial, record)

    def _keep(self, trial: FrozenTrial, record: EpochRecord) -> None:
        self._storage.set_trial_intermediate_value(trial._trial_id, record.epoch, record.val_error)

    def tell(self, report: TrialReport) -> None:
        """Close a trial: completed with what it is judged by, pruned with the epochs it has, all others as failed.

        A pruned trial is told no value, so that Optuna knows it for half-trained.
        """
        summary = report.summary
        assert summary is not None
        trial = self._trial(report.number)
        self._storage.set_trial_user_attr(trial._trial_id, OUTCOME, summary.outcome)
        if summary.outcome == "completed":
            values = self.source.values(trial, summary)
            self._study.tell(report.number, values, skip_if_finished=True)
        elif summary.outcome == "pruned":
            self._study.tell(report.number, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            self._storage.set_trial_user_attr(trial._trial_id, REASON, summary.reason or "")
            self._study.tell(report.number, state=TrialState.FAIL, skip_if_finished=True)

    def best(self, count: int) -> list[BaseTrial]:
        """The best of the completed trials, at most `count`.

        With one objective those with the lowest, best first, equal ones in order of their number. With two, points of
        the Pareto front, evenly along it, both ends among them.
        """
        if self.source.objectives == 1:
            completed = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            return [*sorted(completed, key=lambda trial: (trial.value, trial.number))[:count]]
        front = sorted(self._study.best_trials, key=lambda trial: (*trial.values, trial.number))
        distinct = list({tuple(trial.values): trial for trial in reversed(front)}.values())[::-1]
        if len(distinct) <= count:
            return [*distinct]
        if count == 1:
            return [distinct[0]]
        return [distinct[round(place * (len(distinct) - 1) / (count - 1))] for place in range(count)]

    def reasons(self, outcome: Outcome) -> list[str]:
        """Why trials ended with this outcome, one line each; failures before the last resume are left out."""
        return [
            f"{self.name}-{trial.number:04d}: {trial.user_attrs.get(REASON)}"
            for trial in self._trials()
            if trial.user_attrs.get(OUTCOME) == outcome and trial.number not in self._forgiven
        ]

    def finished(self) -> int:
        """How many of the stage's trainings are over."""
        return sum(trial.state.is_finished() and trial.number not in self._forgiven for trial in self._trials())

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(
            self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        )

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _identified(self, trial: BaseTrial) -> tuple[int, TrialConfig]:
        return trial.number, self.source.trial_config(trial)


def open_storage(url: str) -> BaseStorage:
    """An Optuna storage; SQLite waits for a lock rather than fail.

    Raises:
        UserError: it does not answer, or its address cannot be used. No message holds the address's credentials.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    connect = {"timeout": 60} if url.startswith("sqlite") else {"connect_timeout": 10}
    try:
        return RDBStorage(url, engine_kwargs={"connect_args": connect})
    except (SQLAlchemyError, ImportError, ValueError, TypeError, OptunaError) as error:
        raise UserError(
            f"OPTUNA_STORAGE {without_credentials(url)}: no journal can be kept there ({told(error, url)}); it takes "
            "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE (which needs the extra `postgresql`)"
        ) from None


def is_taken(storage: BaseStorage, study: str) -> bool:
    """Whether a storage that is shared holds stages of a study of this name already."""
    return any(name.rpartition(".")[0] == study for name in optuna.get_all_study_names(storage))
