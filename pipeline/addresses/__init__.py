"""What an address in params.yaml names: a file, a folder, a path inside a package, a hub id."""
