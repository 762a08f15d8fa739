"""`validate`: check a study file and print it with its defaults."""

import os

from study import environment
from study.config import StudyConfig, dump_study
from study.errors import UserError
from study.lookup import study_of
from study.storage import DEFAULT_ROOT
from study.terminal.cli.options import DataRootOption, SetOption, StudyArgument
from study.terminal.cli.output import say


def validate(study: StudyArgument, settings: SetOption = None, data_root: DataRootOption = None) -> None:
    """Check a study file, and print it with every default that has an effect.

    Example: noisy-study validate quickstart --set train.epochs=5
    """
    config = study_of(study, settings or ())
    from study.data.load import describe_dataset
    from study.planning import plan
    from study.planning.advice import search_advice
    from study.planning.check import check_study

    facts = describe_dataset(config.data, environment.data_root(data_root))
    check_study(config, facts)
    if any(trial.is_given for trial in plan.teacher_trials(config)):
        from study.distill.teachers import check_given_files  # loads PyTorch, which other studies do not need

        check_given_files(plan.teacher_trials(config), facts)
    from study.running.bf16 import slow_precision, trains_in_bf16_on_cpus

    if trains_in_bf16_on_cpus(config):
        from study.distill.processor import measured_processor  # loads PyTorch, which other studies do not need

        say(slow_precision(config, measured_processor()) or "")
    for line in search_advice(config):
        say(line)
    _say_resources(config)
    _say_power(config)
    from study.running.estimate import cost_lines

    for line in cost_lines(config, DEFAULT_ROOT):
        say(line)
    print(dump_study(config), end="")  # noqa: T201 - a study file and nothing else


def _say_resources(config: StudyConfig) -> None:
    """Say where a trial does not fit on this machine: `run` refuses it here, and a cluster may have room."""
    wanted = config.resources
    if wanted.gpus_per_trial == 0 and wanted.cpus_per_trial <= (os.cpu_count() or 1):
        return
    from study.running.engine import this_machine  # loads Ray, and PyTorch for GPUs

    try:
        this_machine(wanted).check_fits(wanted)
    except UserError as error:
        say(f"{error}, or run the study on a cluster")


def _say_power(config: StudyConfig) -> None:
    """Warn where the seeds are too few for an improvement of 10 %, at a spread that an earlier study measured."""
    from study.planning.overview import arms_of_students
    from study.results.power import DEFAULT_EFFECT, KNOWN, planned_plans, warning

    if (spread := KNOWN.get(config.data.name)) is not None:
        plans = planned_plans(arms_of_students(config), len(config.seed_list), spread, DEFAULT_EFFECT)
        if line := warning(plans):
            say(line)
