#!/usr/bin/env python3
"""The migration: brings the shop's data to the version that its programs expect, once."""

from shop import Redis

VERSION = 2

redis = Redis()
before = int(redis.ask("GET", "shop:version") or 0)
if before < VERSION:
    redis.ask("SETNX", "shop:orders", 0)
    redis.ask("SET", "shop:version", VERSION)
print(f"shop data: version {before} -> {max(before, VERSION)}")
