"""AttrOD: detection of objects by category and colour."""
