"""`python -m healthreports` is the command line."""

import sys

from healthreports.cli.main import main

sys.exit(main())
