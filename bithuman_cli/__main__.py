"""``bithuman``, also as ``python -m bithuman_cli``."""

import sys


def start() -> int:
    """Run the command line; Ctrl-C is quiet even while it is still being imported."""
    try:
        from bithuman_cli.main import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(start())
