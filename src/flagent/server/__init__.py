"""The server: the change log in a database, the hub that serves it from memory, and the HTTP in front."""
