"""The JSON wing: routes, bearer tokens, the edge of every request, documentation pages."""
