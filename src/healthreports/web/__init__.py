"""The HTML interface: pages, forms and browser sessions."""
