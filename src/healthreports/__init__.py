"""healthreports: a self-hosted server for project status reports."""

__version__ = "0.1.0"
