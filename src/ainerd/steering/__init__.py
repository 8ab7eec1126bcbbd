"""Where to measure next, and why; the plans that go there."""

from ainerd.steering._explorer import TERMS, Explorer
from ainerd.steering._plans import expose, visit

__all__ = ["TERMS", "Explorer", "expose", "visit"]
