"""Files: published all or nothing, with checksums; fingerprints of work; the work cache; Parquet."""
