"""How Ledgerq reaches the world: settings, event store, broker, database, local services, command line."""
