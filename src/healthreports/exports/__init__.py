"""Reports as files. A file has what it is given and nothing else: access is the caller's."""
