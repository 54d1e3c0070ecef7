#!/usr/bin/env bash
#
# `Table.take` of one row allocates as much memory as the whole table if its columns have several chunks.
#
# Seen with: pyarrow 26.0.1.
#
# A table that was read from a Parquet file has a chunk for each row group. `take` joins all chunks of every column, of texts and
# of numbers alike, before it picks rows, and lets the joined copy go afterwards. `filter` and `slice` do not.
#
# Why it matters: whoever picks a shard's rows from a large table needs twice its memory, and copies it for each shard. What
# helps: `take` from each record batch of the table, with the positions in it.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'pyarrow==26.0.1'

cat > take.py <<'EOF'
import sys

import pyarrow as pa

chunks = [pa.array([f"text {row}, of some length" for row in range(start, start + 10_000)]) for start in range(0, 400_000, 10_000)]
table = pa.table({"text": pa.chunked_array(chunks)})
if sys.argv[1] == "table":
    table.take([0])
else:
    pa.Table.from_batches([batch.take(pa.array([0])) for batch in table.to_batches()])
peak = pa.default_memory_pool().max_memory() / table.nbytes
print(f"pyarrow {pa.__version__}, a table of {table.nbytes:,} bytes in {len(chunks)} chunks: one row of each {sys.argv[1]}: peak {peak:.2f} tables")
sys.exit(peak < 1.9 if sys.argv[1] == "table" else peak > 1.3)
EOF
venv/bin/python take.py table
venv/bin/python take.py batch
