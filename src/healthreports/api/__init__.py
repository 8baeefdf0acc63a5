"""The JSON API: routes, handlers, bearer tokens, OAuth endpoints for programs, documentation."""
