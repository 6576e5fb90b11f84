/* SPDX-License-Identifier: MIT */
/* verb-version.c - `capsa version`. */
#include "core/cli/verb.h"

#include <stdio.h>

#include "capsa-plugin.h"

static int run(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		return verb_usage(&verb_version, "version takes no argument");
	printf("capsa %s, plugin interface %u.%u\n", CAPSA_VERSION, CAPSA_PLUGIN_API_VERSION, CAPSA_PLUGIN_API_REVISION);
	return EXIT_OK;
}

const struct verb verb_version = {
	.name = "version",
	.arguments = "",
	.summary = "print the versions of capsa and of the plugin interface",
	.run = run,
};
