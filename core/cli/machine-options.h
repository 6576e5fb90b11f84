/* SPDX-License-Identifier: MIT */
/* machine-options.h - the options that run and start have in common: what the machine is like. */
#ifndef CAPSA_CLI_MACHINE_OPTIONS_H
#define CAPSA_CLI_MACHINE_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>

#include "core/base/arena.h"
#include "core/sandbox/sandbox.h"

#define MACHINE_LETTERS "c:q"
enum {
	MACHINE_OPTION_NAME = 0x200,
	MACHINE_OPTION_KERNEL,
	MACHINE_OPTION_CPUS,
	MACHINE_OPTION_MEMORY,
	MACHINE_OPTION_NET,
	MACHINE_OPTION_SHARE,
	MACHINE_OPTION_ROOT,
	MACHINE_OPTION_TRACE,
};
#define MACHINE_OPTIONS                                                                                            \
	{ "name", required_argument, NULL, MACHINE_OPTION_NAME }, { "config", required_argument, NULL, 'c' },      \
		{ "quiet", no_argument, NULL, 'q' }, { "kernel", required_argument, NULL, MACHINE_OPTION_KERNEL }, \
		{ "cpus", required_argument, NULL, MACHINE_OPTION_CPUS },                                          \
		{ "memory", required_argument, NULL, MACHINE_OPTION_MEMORY },                                      \
		{ "net", required_argument, NULL, MACHINE_OPTION_NET },                                            \
		{ "share", required_argument, NULL, MACHINE_OPTION_SHARE },                                        \
		{ "root", required_argument, NULL, MACHINE_OPTION_ROOT },                                          \
	{                                                                                                          \
		"trace", required_argument, NULL, MACHINE_OPTION_TRACE                                             \
	}

#define MACHINE_HELP                                                                           \
	"      --cpus N         vCPUs (default: 1)\n"                                          \
	"      --memory M       its memory: 512M, 2G (default: 512M)\n"                        \
	"      --share HOST:GUEST[:ro][,OPTION]...\n"                                           \
	"                       a folder of this host at GUEST; again for more\n"                \
	"      --root DIR       that folder as its root; what it changes there is forgotten\n"  \
	"      --net none       no network, which is the default\n"                            \
	"      --name N         what it is called, for `capsa exec N` and the like\n"          \
	"      --kernel FILE    another kernel than the default one\n"                         \
	"  -c, --config FILE    the machine of a file (capsa.conf(5)); options go before it\n" \
	"      --trace FILE     writes what took how long, for chrome://tracing or Perfetto\n" \
	"  -q, --quiet          no status line while it starts\n"

struct machine_options {
	struct sandbox_options sandbox;
	const char *trace;
	bool quiet;
	struct arena *arena; /* of sandbox.shares */
};

/* As command_option(). */
int machine_option(struct machine_options *options, int code, const char *argument);
void machine_options_free(struct machine_options *options);

#endif
