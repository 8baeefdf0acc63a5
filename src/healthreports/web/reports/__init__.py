"""Pages of the portfolio, of workspaces and of reports."""
