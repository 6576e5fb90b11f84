/* SPDX-License-Identifier: MIT */
/*
 * cluster-tap.c - net-tap.c with cluster-switch: a whole member, with its guardian, its rings and a real switch, and a
 * network namespace for a guest. On SIGUSR1 it says what info() does, as JSON.
 */
#include <stdio.h>

#include "tests/bench/net-tap.h"

static void say_info(struct nat_host *host)
{
	puts(nat_host_info(host));
	fflush(stdout);
}

const struct net_tap_plugin net_tap_plugin = { .options = "queues = 1;", .say = say_info };
