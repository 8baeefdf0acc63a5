"""What the field knows: models, vocabularies, rules, access. Pure: no I/O, no clock."""
