"""Write the pages and tables that are made of the code: ``python -m tests.documents``, or ``make reference``."""

from __future__ import annotations

import sys

from tests.documents.pages import current

for path, content in current().items():
    is_new = not path.is_file() or path.read_text("utf-8") != content
    path.write_text(content, encoding="utf-8")
    sys.stderr.write(f"{path}{': written anew' if is_new else ''}\n")
