"""The JSON interface: routes, handlers, bearer tokens, OAuth for programs, documentation."""
