#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, for TAP devices and network namespaces: two, three and sixteen members of a cluster without guests.
# Runs without KVM.
. "$(dirname "$(realpath "$0")")/cluster.bash"

check "two members: ping, a flood, a transfer compared" taps many 2
check "sixteen members: each pings each, one is flooded by all, eight transfers at once" taps many 16
check "VLAN tags pass, one and two of them" taps tags
check "members with offloads and without: each transfer arrives as it was sent" taps plain
finish
