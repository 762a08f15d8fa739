"""`sync`: deliver events that an outage kept from the tracking server."""

from study.terminal.cli.options import NameArgument
from study.terminal.cli.output import errors


def sync(name: NameArgument) -> None:
    """Send the events that the tracking server missed in an outage.

    Example: noisy-study sync quickstart
    """
    from study.launch import settings_of
    from study.results.wording import count
    from study.running import service

    delivered = service.sync(name, settings_of(name))
    line = f"{count(delivered, 'event')} delivered" if delivered else "no events were waiting"
    errors.print(f"{line}; the tracking server has all of study {name}", soft_wrap=True)
