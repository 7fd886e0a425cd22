"""Is the platform well? Looked at all the time, told by `ledgerq monitor` over HTTP and by `ledgerq status`."""
