"""Validation of request bodies: from the attributes as sent to a draft and all its problems."""
