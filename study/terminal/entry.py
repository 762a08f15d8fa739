"""Where the command `noisy-study` starts: checks that Python finds our packages, then loads the command line.

Imports nothing of ours before the check but the error it may raise.
"""

import sys

from study.errors import UserError
from study.shadows import refuse_shadows


def main() -> None:
    """Run the command line; one line and status 2 where a user's file hides one of our packages."""
    try:
        refuse_shadows()
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the console comes with the command line, which cannot be loaded
        sys.exit(2)
    from study.terminal.streams import make_streams_safe

    make_streams_safe()
    from study.terminal.cli import main as command_line

    command_line()
