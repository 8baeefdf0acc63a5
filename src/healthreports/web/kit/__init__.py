"""What every page is made with: templates, forms, the session of a browser."""
