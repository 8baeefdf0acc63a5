"""Use cases, one transaction each: access, then rules, then the store. The only writer."""
