"""Compile every module that the server can import. Compiling all others would double the image.

The compiled files are valid whatever the time of their sources, because copies of an image may
change it.
"""

import importlib
import pkgutil
import py_compile
import sys

import healthreports
from healthreports.extras import EXTRAS

for module in pkgutil.walk_packages(healthreports.__path__, "healthreports."):
    if not module.name.endswith("__main__") and ".migrations." not in module.name:
        importlib.import_module(module.name)
for name in EXTRAS.values():
    importlib.import_module(name)

for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None)
    if path and path.endswith(".py"):
        py_compile.compile(
            path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
