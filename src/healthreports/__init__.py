"""healthreports: a self-hosted server for project status reports."""

from importlib.metadata import version

# The version is defined only in `pyproject.toml`.
__version__ = version("healthreports")
