"""The domain: models, vocabularies, rules, permissions. Pure: no I/O and no clock."""
