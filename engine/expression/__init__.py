"""Expression avatars: the whole face of a photo, drawn anew in every frame."""

from engine.expression.builder import build_expression
from engine.expression.director import ExpressionDirector
from engine.expression.player import ExpressionPlayer

__all__ = ["ExpressionDirector", "ExpressionPlayer", "build_expression"]
