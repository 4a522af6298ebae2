"""What a model is for: attribute spaces, tasks, and the data sets that pose them."""

from .attributes import AttributeGroup, AttributeSpace, Task

__all__ = ["AttributeGroup", "AttributeSpace", "Task"]
