#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, for TAP devices and network namespaces: any process of a cluster is killed at any time, and transfers between its
# members go on and arrive as they were sent.
# Runs without KVM.
. "$(dirname "$(realpath "$0")")/cluster.bash"

rounds=100
[ -z "${LONG-}" ] || rounds=1000
check "$rounds rounds, in each one to three of switch, guardians and members are killed" taps kill $rounds 6
finish
