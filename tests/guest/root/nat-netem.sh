#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root: net-nat between a guest's stack and a far side that loses packets, keeps them, or changes their order
# (tc-netem(8), a module of the kernel's). The world is that of nat-peers.sh.
NAT_PEERS=netem exec "$(dirname "$(realpath "$0")")/nat-peers.sh"
