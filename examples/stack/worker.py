#!/usr/bin/env python3
"""The worker: takes orders from the queue, one after the other."""

from shop import Redis

redis = Redis()
print("waiting for orders")
try:
    while True:
        taken = redis.ask("BRPOP", "shop:queue", 20)
        if taken:
            done = redis.ask("INCR", "shop:orders")
            print(f"order {done}: {taken[1]}")
except KeyboardInterrupt:
    print("no more orders")
