"""Where a process begins: it imports the program while the garbage collector rests.

What is imported stays. To look through it again and again, while there is more and more of it, took
a fifth of the time to the first answer (`bench/RESULTS.md`, cold start).
"""

import gc

gc.disable()

from healthreports.cli.main import main  # noqa: E402  see above

gc.freeze()
gc.enable()

__all__ = ["main"]
