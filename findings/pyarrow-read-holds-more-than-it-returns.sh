#!/usr/bin/env bash
#
# `ParquetFile.read` needs twice the memory of the table that it returns; read a row group at a time, it does not.
#
# Seen with: pyarrow 26.0.1.
#
# `read` joins a column of many row groups into one chunk, and holds the pieces until then. `read_row_group` for one after the
# other and `concat_tables`, which copies nothing, give the same rows in a chunk for each row group. Of a file with one row group
# there is no difference.
#
# Why it matters: a file is read whole where its table is known to fit into memory, and the peak is not that table's. What helps:
# read row group by row group.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'pyarrow==26.0.1'

cat > write.py <<'EOF'
import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({"text": [f"text {row}, of some length, as a sentence is" for row in range(400_000)]})
pq.write_table(table, "texts.parquet", row_group_size=10_000)
EOF
cat > read.py <<'EOF'
import sys

import pyarrow as pa
import pyarrow.parquet as pq

with pq.ParquetFile("texts.parquet") as file:
    if sys.argv[1] == "whole":
        table = file.read()
    else:
        table = pa.concat_tables([file.read_row_group(group) for group in range(file.num_row_groups)])
peak = pa.default_memory_pool().max_memory() / table.nbytes
print(f"pyarrow {pa.__version__}, {table.nbytes:,} bytes in {table['text'].num_chunks} chunks, read {sys.argv[1]}: peak {peak:.2f} tables")
sys.exit(peak < 1.3 if sys.argv[1] == "whole" else peak > 1.2)
EOF
venv/bin/python write.py
venv/bin/python read.py whole
venv/bin/python read.py in-groups
