#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""still.py BEFORE AFTER: two answers of `capsa info --json`, some seconds apart: who waits for whom.

Prints how each queue stands. Says "stands still, and its devices owe it nothing" where no queue has moved in between and
no device has a request: whatever the guest waits for then, it is nothing that the host could do. tests/check looks for
that line. Only of machines whose devices do nothing by themselves.
"""

import json
import sys

BY_ITSELF = {"net-nat", "cluster-switch"}
FOR_THE_KERNEL = {"rng"}  # which asks for more now and then, whatever its processes do


def read(path):
    with open(path, encoding="utf-8") as file:
        machine = json.load(file)
    return [] if "vsock" in machine else machine["devices"]


def without(plugins, devices):
    return [device for device in devices if device["plugin"] not in plugins]


def is_for_input(device, queue):
    """Buffers for what the host types wait there for ever (virtio 1.2, 5.3.2)."""
    return device["plugin"] == "console" and queue["index"] % 2 == 0


def main():
    before, after = read(sys.argv[1]), read(sys.argv[2])
    owed = without(FOR_THE_KERNEL, before) != without(FOR_THE_KERNEL, after) or without(BY_ITSELF, after) != after
    for device in after:
        for queue in device["queues"]:
            print(device["name"], *(f"{key} {value}" for key, value in queue.items()))
            owed |= not is_for_input(device, queue) and queue["waiting"] + queue["in_flight"] > 0
    if after and not owed:
        print("the guest stands still, and its devices owe it nothing")


main()
