#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Unpacks the ELF of a bzImage with the distribution's own tools: extract-vmlinux.py BZIMAGE OUT.

A second opinion beside capsa's own unpacker. Source: Documentation/arch/x86/boot.rst (payload_offset).
"""
import struct
import subprocess
import sys

TOOLS = {b"\x1f\x8b": ["gzip", "-dc"], b"\xfd7zXZ": ["xz", "-dc"], b"\x02\x21\x4c\x18": ["lz4", "-dc"],
         b"\x28\xb5\x2f\xfd": ["zstd", "-dc"]}


def main():
    image = open(sys.argv[1], "rb").read()
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start:start + length]
    tool = next((t for magic, t in TOOLS.items() if payload.startswith(magic)), None)
    if tool is None:
        sys.exit("unknown compression")
    # The last four bytes are the size; a tool that calls them trailing garbage has done its work all the same.
    size = struct.unpack("<I", payload[-4:])[0]
    elf = subprocess.run(tool, input=payload[:-4] if tool[0] != "gzip" else payload, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=False).stdout
    if len(elf) < size or not elf.startswith(b"\x7fELF"):
        sys.exit(f"unpacked {len(elf)} of {size} bytes")
    open(sys.argv[2], "wb").write(elf[:size])


main()
