"""The entry point of a process: it imports the program with the garbage collector disabled.

Imported modules live as long as the process. Repeated collections during the import took a fifth of
the time to the first answer (`bench/RESULTS.md`, cold start).
"""

import gc

gc.disable()

from healthreports.cli.main import main  # noqa: E402  see above

gc.freeze()
gc.enable()

__all__ = ["main"]
