"""The colours of annotated objects: who finds them, and where they are kept."""
