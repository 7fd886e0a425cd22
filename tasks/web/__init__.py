"""What the HTTP face takes: routes by which something is asked for or decided."""
