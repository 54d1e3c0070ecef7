"""Speed benchmarks: each command measures one part of the pipeline against its goal and beside its peers."""
