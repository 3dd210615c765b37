#!/usr/bin/env python3
"""The nightly report."""

from shop import Redis

print(f"{Redis().ask('GET', 'shop:orders')} orders so far")
