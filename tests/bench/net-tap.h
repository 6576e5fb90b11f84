/* SPDX-License-Identifier: MIT */
/* net-tap.h - what of net-tap.c differs between plugins. Each of its programs has one of these, and the plugin. */
#ifndef CAPSA_TESTS_NET_TAP_H
#define CAPSA_TESTS_NET_TAP_H

#include <stddef.h>

#include "tests/unit/nat_host.h"

struct net_tap_plugin {
	const char *options; /* keys as in a file, before those of --options */
	/* For --setup: a shell line, which gives the interface what the plugin says. NULL: none. */
	void (*set_up)(const struct nat_host *host, const char *interface, char *line, size_t size);
	/* On SIGUSR1: says how the plugin is, one line on standard output. */
	void (*say)(struct nat_host *host);
};

extern const struct net_tap_plugin net_tap_plugin;

#endif
