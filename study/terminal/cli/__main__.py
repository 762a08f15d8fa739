"""`python -m study.terminal.cli` is the command `noisy-study`."""

from study.terminal.cli import main

main()
