"""``python -m bithuman_cli`` is the ``bithuman`` command."""

import sys

from bithuman_cli.main import main

sys.exit(main())
