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
	MACHINE_OPTION_PUBLISH,
	MACHINE_OPTION_ALLOW,
	MACHINE_OPTION_DENY,
	MACHINE_OPTION_POLICY,
	MACHINE_OPTION_CLUSTER,
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
		{ "publish", required_argument, NULL, MACHINE_OPTION_PUBLISH },                                    \
		{ "allow", required_argument, NULL, MACHINE_OPTION_ALLOW },                                        \
		{ "deny", required_argument, NULL, MACHINE_OPTION_DENY },                                          \
		{ "policy", required_argument, NULL, MACHINE_OPTION_POLICY },                                      \
		{ "cluster", required_argument, NULL, MACHINE_OPTION_CLUSTER },                                    \
		{ "share", required_argument, NULL, MACHINE_OPTION_SHARE },                                        \
		{ "root", required_argument, NULL, MACHINE_OPTION_ROOT },                                          \
	{                                                                                                          \
		"trace", required_argument, NULL, MACHINE_OPTION_TRACE                                             \
	}

#define MACHINE_HELP                                                                           \
	"      --cpus N, --memory M   vCPUs (default: 1) and memory: 2G (default: 512M)\n"     \
	"      --share HOST:GUEST[:ro][,OPTION]...\n"                                           \
	"                       a folder of this host at GUEST; again for more\n"                \
	"      --root DIR       that folder as its root; what it changes there is forgotten\n"  \
	"      --net nat        a network behind this host's; each of the next four says so\n"   \
	"      --publish [tcp:|udp:][ADDR:]HOST:GUEST   a port of the host's for one of it\n"  \
	"      --allow M, --deny M   what it may reach, in order: domain:*.debian.org:443,\n"    \
	"                       cidr:10.0.0.0/8, group:private...; --allow denies the rest\n"  \
	"      --policy FILE    the same from a file: capsa-net-nat(7)\n"                        \
	"      --cluster NAME[,nat][,address=A/N]   a network of machines; again for more\n"    \
	"      --name N         what it is called, for `capsa exec N` and the like\n"          \
	"      --kernel FILE    another kernel than the default one\n"                         \
	"  -c, --config FILE    the machine of a file (capsa.conf(5)); options go before it\n" \
	"      --trace FILE     writes what took how long, for chrome://tracing or Perfetto\n" \
	"  -q, --quiet          no status line while it starts\n"

struct machine_options {
	struct sandbox_options sandbox;
	const char *trace;
	bool quiet;
	struct arena *arena; /* of sandbox.shares, sandbox.net and sandbox.clusters */
};

/* As command_option(). */
int machine_option(struct machine_options *options, int code, const char *argument);
void machine_options_free(struct machine_options *options);

#endif
