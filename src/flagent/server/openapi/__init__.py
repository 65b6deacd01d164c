"""The description of the API (OpenAPI 3.1): schemas, operations, and the document made of both."""

from .document import description

__all__ = ["description"]
