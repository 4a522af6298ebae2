"""Supernets: any timm model with switchable channels (`supernet.modularize`), and subnets cut out of it.

`supernet.py` holds the public functions; importing this package alone does not import torch.
"""
