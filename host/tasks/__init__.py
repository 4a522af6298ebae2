"""What a model is for: attribute spaces, tasks, and the domain that asks them."""

from .attributes import AttributeGroup, AttributeSpace, Task
from .space import TaskSpace

__all__ = ["AttributeGroup", "AttributeSpace", "Task", "TaskSpace"]
