"""The HTML interface: pages, forms, the session of a browser."""
