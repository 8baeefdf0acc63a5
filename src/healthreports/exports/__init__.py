"""Reports as files. A file has only the data that it is given; the caller checks access."""
