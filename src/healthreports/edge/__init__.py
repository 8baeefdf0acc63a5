"""What every request passes: HTTP itself, its id, limits of time and size, errors as answers."""
