"""The `nas` command: the same operations as REST, on a server or on the local data folder."""
