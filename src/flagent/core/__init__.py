"""What flags mean: values and functions, without I/O, clocks or chance."""
