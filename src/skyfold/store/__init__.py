"""The store: ordered keys, transactions, typed tables, blobs; engines behind one interface."""
