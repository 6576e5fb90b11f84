#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What cluster-vxlan.sh needs of interfaces, and no program has everywhere.

    cluster-vxlan.py tx-off INTERFACE               checksums are done here, not left to the card (ethtool -K tx off)
    cluster-vxlan.py echo-tagged INTERFACE          says "ready"; sends frames that come with a VLAN tag back
    cluster-vxlan.py ask-tagged INTERFACE TCI...    sends a frame with each tag, and wants each back as it was
"""
import array
import fcntl
import os
import socket
import struct
import sys

ETH_P_ALL, ETH_P_8021Q, LOCAL_EXPERIMENTAL = 3, 0x8100, 0x88b5
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
TP_STATUS_VLAN_VALID = 0x10
PATIENCE = 30


def tx_off(interface):
    value = array.array("I", [ETHTOOL_STXCSUM, 0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCETHTOOL, struct.pack("16sQ16x", interface.encode(), value.buffer_info()[0]))


def open_raw(interface):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((interface, ETH_P_ALL))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.settimeout(PATIENCE)
    return s


def tagged(to, source, tci, payload):
    return to + source + struct.pack("!HHH", ETH_P_8021Q, tci, LOCAL_EXPERIMENTAL) + payload


def receive(s):
    """The next frame from outside with a tag and our type: who sent it, its tag, and what it carries."""
    while True:
        frame, control, _, address = s.recvmsg(70000, 1000)
        tci = None
        for level, kind, data in control:  # the kernel takes the tag out, and tells it here
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, vlan_tci, _ = struct.unpack("IIIHHHH", data[:20])
                tci = vlan_tci if status & TP_STATUS_VLAN_VALID else None
        if address[2] == PACKET_OUTGOING or tci is None or frame[12:14] != struct.pack("!H", LOCAL_EXPERIMENTAL):
            continue
        return frame[6:12], tci, frame[14:]


def echo_tagged(interface):
    with open_raw(interface) as s:
        mac = s.getsockname()[4]
        print("ready", flush=True)
        while True:
            source, tci, payload = receive(s)
            s.send(tagged(source, mac, tci, payload))


def ask_tagged(interface, *tags):
    with open_raw(interface) as s:
        mac = s.getsockname()[4]
        for to, tci in zip([b"\xff" * 6] + [None] * len(tags), map(int, tags)):  # the others where the first came from
            payload = os.urandom(200)
            s.send(tagged(to or far, mac, tci, payload))
            far, got_tci, got = receive(s)
            if (got_tci, got) != (tci, payload):
                sys.exit(f"tag {tci}: came back with {got_tci}, {'as it was' if got == payload else 'changed'}")


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
