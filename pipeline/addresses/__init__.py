"""Addresses in params.yaml: a file, a folder, a glob, a path inside a package, a hub id."""
