"""The HTML wing: pages, forms, the session of a browser."""
