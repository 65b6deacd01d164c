"""How updates travel: bytes to values and back, without sockets, clocks or chance of its own."""
