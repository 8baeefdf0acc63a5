"""Run the command line with `python -m healthreports`."""

import sys

from healthreports.cli.start import main

sys.exit(main())
