/* SPDX-License-Identifier: MIT */
/*
 * cluster-option.h - the word of --cluster, and the device that it stands for.
 *
 *   --cluster NAME[,KEY=VALUE]...[,nat]      again for another card
 *
 * NAME is a cluster's (capsa-cluster-switch(7)). Keys are the plugin's: address=10.0.3.11/24, subnet=10.0.3.0/24,
 * subnet6=fd00::/64, mac=52:54:00:12:34:56, mtu=1500; `nat` is `nat = true`. What cannot be meant is refused here,
 * with the option in front: the plugin itself knows only where it stands in the entry.
 */
#ifndef CAPSA_SANDBOX_CLUSTER_OPTION_H
#define CAPSA_SANDBOX_CLUSTER_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/config/config.h"

/* All of it lives in the arena that it was parsed with. */
struct cluster_option {
	const char *label; /* what the user wrote: "--cluster lab,nat" */
	const char *name;
	const char *keys; /* of its device, as in a file, beside `cluster`; "": none */
};

/* Begins as zeros. */
struct cluster_options {
	struct cluster_option *list;
	size_t n;
};

/* The argument of --cluster. 0 or -errno with err, which names the option. */
int cluster_option_add(struct cluster_options *options, const char *word, struct arena *arena, struct error *err);

/*
 * Adds the devices to a machine. One of the file's that is in the same cluster stays as it is, and is all that a mere
 * name asks for; with more words that is -EEXIST. 0 or -errno with err.
 */
int cluster_options_add(const struct cluster_options *options, struct config *config, struct error *err);

#endif
