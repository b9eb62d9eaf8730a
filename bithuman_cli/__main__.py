"""``bithuman``, also as ``python -m bithuman_cli``."""

import os
import signal
import sys


def start() -> int:
    """Run the command line; Ctrl-C is quiet even while it is still being imported."""
    try:
        _open_what_is_closed()
        _end_as_with_ctrl_c()
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


def _end_as_with_ctrl_c() -> None:
    """SIGTERM and a closed terminal, too, take back what was begun; a second one does not wait."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        sys.exit(128 + number)  # as shells count

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup wants it ignored
            signal.signal(number, end)


if __name__ == "__main__":
    sys.exit(start())
