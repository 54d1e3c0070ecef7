"""JSON files as the stages write them."""

import json
from pathlib import Path
from typing import Any

from pipeline.storage.atomic import publish_file


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, indented and with its keys in the order given, all or nothing."""
    with publish_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
