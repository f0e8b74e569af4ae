"""For `make messages`: a command's docstring is its help, so it is a text for the catalogue like those in `_()`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from babel.messages.extract import extract_python


def extract(file: IO[bytes], keywords: Mapping[str, Any], comment_tags: Collection[str], options: Any) -> Iterator[Any]:
    """Babel's extractor of Python, and the docstring of the function that is named as its module.

    Yields line, keyword ('' for none), message and comments, as Babel asks for.
    """
    text = file.read()
    name = Path(file.name).stem
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name and (doc := ast.get_docstring(node)):
            yield node.lineno, "", inspect.cleandoc(doc), []
    file.seek(0)
    for line, keyword, message, comments in extract_python(file, keywords, comment_tags, options):
        yield line, keyword or "", message, comments
