"""Django's SQLite backend with one lock around all writers of all processes."""
