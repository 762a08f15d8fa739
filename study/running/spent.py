"""What a study has cost so far, and whether its budget allows more.

Works on the journal, which has every training of every start. So the cost adds up over resumes.
"""

from dataclasses import dataclass

import optuna
from optuna.storages import BaseStorage

from study.config import BudgetConfig
from study.running.ended_runs import ended_run
from study.stages import TEACHER, stage_of


@dataclass(frozen=True)
class Spent:
    """What ran.

    Attributes:
        trainings: of students, those that run now included.
        hours: of training, teachers included.
        hours_of_students: of training, of students that have ended.
        ended: how many these are.
    """

    trainings: int = 0
    hours: float = 0.0
    hours_of_students: float = 0.0
    ended: int = 0


def spent(storage: BaseStorage, study: str) -> Spent:
    """What a study has cost.

    Args:
        storage: the journal.
        study: the study's name.
    """
    trainings = ended = 0
    hours = of_students = 0.0
    for name in optuna.get_all_study_names(storage):
        of_study, _, stage = name.rpartition(".")
        if of_study != study:
            continue
        is_teacher = stage_of(stage) == TEACHER
        for trial in optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False):
            run = ended_run(trial)
            if run is not None:
                hours += run.ended.summary.train_seconds / 3600
            if is_teacher or (run is not None and run.ended.summary.repeats is not None):
                continue
            if run is not None:
                of_students += run.ended.summary.train_seconds / 3600
                ended += 1
            trainings += run is not None or not trial.state.is_finished()
    return Spent(trainings, hours, of_students, ended)


def over_budget(budget: BudgetConfig | None, so_far: Spent, trainings: int) -> str | None:
    """Why a study stops before its next round; None if it does not.

    Args:
        budget: of the study.
        so_far: what it has cost.
        trainings: of the next round. They are expected to take as long as those before.
    """
    if budget is None:
        return None
    if budget.trainings is not None and so_far.trainings + trainings > budget.trainings:
        ran = f"{so_far.trainings} trainings ran, and the next round has {trainings}"
        return f"budget.trainings is {budget.trainings}; {ran}"
    expected = trainings * so_far.hours_of_students / so_far.ended if so_far.ended else 0.0
    if budget.hours is not None and so_far.hours + expected > budget.hours:
        return (
            f"budget.hours is {budget.hours:g}; {so_far.hours:.2g} hours of training ran, and the next round has "
            f"{trainings} trainings, about {expected:.2g} hours"
        )
    return None
