"""`try`: one command for the user's own question."""

from pathlib import Path
from typing import Annotated

import typer

from study import environment
from study.config import StudyConfig
from study.errors import Interrupted, UserError
from study.interrupts import interruptible
from study.storage import DEFAULT_ROOT
from study.terminal.cli.options import AddressOption, DataRootOption, NameOption, SetOption, VerboseOption
from study.terminal.cli.output import errors, say
from study.terminal.cli.run import print_table


def try_(
    teacher: Annotated[
        str, typer.Option(help="the teacher: a name of the zoo, a line of notation, or your own network, mine.py:Big")
    ],
    student: Annotated[str, typer.Option(help="the student, in the same form as the teacher")],
    data: Annotated[str, typer.Option(help="a folder or file of pictures or arrays, or the name of a data set")],
    weights: Annotated[
        str | None, typer.Option(help="a file with the teacher's weights; without it, the teacher is trained")
    ] = None,
    size: Annotated[int | None, typer.Option(help="resize and crop pictures to squares of this many pixels")] = None,
    hours: Annotated[
        float, typer.Option(min=0.001, help="the budget in hours of training time, summed over all trainings")
    ] = 2.0,
    name: NameOption = None,
    settings: SetOption = None,
    data_root: DataRootOption = None,
    address: AddressOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Find out whether a noisy teacher helps your student: a pilot, a study, a verdict.

    Example: noisy-study try --teacher mine.py:Big --weights big.pt --student mine.py:Small --data pictures/
    """
    try:
        with interruptible(lambda: "interrupted; run the same command again to continue"):
            # Ray and PyTorch take seconds to load.
            from study.launch import settings_of
            from study.question import Question, answer
            from study.terminal.progress import TerminalProgress

            question = Question(teacher, student, data, weights, size, hours, name, tuple(settings or ()))

            def watching(config: StudyConfig) -> TerminalProgress:
                return TerminalProgress(config, errors, lines=environment.is_job())

            found = answer(question, lambda study: settings_of(study, data_root, address, verbose), watching, say)
            print_table(found.tracked)
            _write_results(found.name, data_root)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; run the same command again to continue") from None
    say(f"study file: {found.study_file}")
    say(found.sentence)


def _write_results(name: str, data_root: Path | None) -> None:
    """The report and the best student, in two folders. What cannot be written is one line."""
    from study.export.files import export_student
    from study.lookup import tracking_uri_of
    from study.results.report import write_report

    uri, report, student = tracking_uri_of(name), Path(f"{name}-report"), Path(f"{name}-student")
    try:
        say(f"report: {write_report(uri, name, report).page}")
        export_student(uri, name, student, DEFAULT_ROOT, environment.data_root(data_root))
        say(f"the best student: {student}")
    except UserError as error:
        say(str(error))
