"""healthreports: a self-hosted server for project status reports."""

from importlib.metadata import version

# As `pyproject.toml` has it, which is the one place.
__version__ = version("healthreports")
