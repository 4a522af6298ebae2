"""What people read at the end."""
