"""A picture in the style of another (Gatys, Ecker and Bethge 2016)."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.style.costs import content_cost, gram, style_cost, total_variation
    from engine.style.transfer import Styling, stylised

__all__ = ["Styling", "content_cost", "gram", "style_cost", "stylised", "total_variation"]

__getattr__ = late_names(
    __name__,
    {
        "engine.style.costs": ("content_cost", "gram", "style_cost", "total_variation"),
        "engine.style.transfer": ("Styling", "stylised"),
    },
)
