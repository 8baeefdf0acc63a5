"""How a statement runs on either database; knows no table."""
