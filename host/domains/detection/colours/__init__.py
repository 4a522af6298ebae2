"""The colours of annotated objects: how they are found and where they are kept."""
