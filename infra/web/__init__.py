"""The HTTP interface: its frame, which knows neither tasks nor projections (docs/http.md)."""
