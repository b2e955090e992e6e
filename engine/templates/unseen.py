"""Faces that photographs show and that nobody looked at, since one face a photograph was asked for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unseen:
    """How many `faces` there are beside those that were taken, in how many `photographs`: at least so many, since the copy of a
    photograph on which its largest face is found does not show the smallest ones.
    """

    faces: int = 0
    photographs: int = 0

    def __add__(self, other: "Unseen") -> "Unseen":
        return Unseen(self.faces + other.faces, self.photographs + other.photographs)

    def __str__(self) -> str:
        more = "1 more face" if self.faces == 1 else f"{self.faces:,} more faces"
        where = "1 photograph" if self.photographs == 1 else f"{self.photographs:,} photographs"
        return f"at least {more} in {where} {'was' if self.faces == 1 else 'were'} not looked at"


ALL_SEEN = Unseen()
