"""Use cases, each in one transaction: access, then rules, then the store. Only they write data."""
