"""`python -m healthreports` is the command line."""

import sys

from healthreports.cli.start import main

sys.exit(main())
