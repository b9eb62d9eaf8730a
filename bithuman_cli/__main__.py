"""``bithuman``, also as ``python -m bithuman_cli``."""

import os
import sys


def start() -> int:
    """Run the command line; Ctrl-C is quiet even while it is still being imported."""
    try:
        _open_what_is_closed()
        from bithuman_cli.main import main

        return main()
    except KeyboardInterrupt:
        return 130


def _open_what_is_closed() -> None:
    """Standard streams that whoever started this has closed.

    A file that is opened later would get the number of one, and with it what others print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for good


if __name__ == "__main__":
    sys.exit(start())
