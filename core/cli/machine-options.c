/* SPDX-License-Identifier: MIT */
/* machine-options.c - see machine-options.h. Called by verb-run.c and verb-start.c. */
#include "core/cli/machine-options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/cli/verb.h"

static int set_cpus(struct machine_options *options, const char *argument)
{
	char *end;
	long n = strtol(argument, &end, 10);

	if (end == argument || *end || n < 1 || n > 254) {
		fail(EXIT_CAPSA, "--cpus: \"%s\" is no number from 1 to 254", argument);
		return -EINVAL;
	}
	options->sandbox.cpus = (unsigned)n;
	return 1;
}

static int set_memory(struct machine_options *options, const char *argument)
{
	uint64_t bytes;

	if (text_parse_size(argument, &bytes) || bytes % (1 << 20) || bytes < (32u << 20)) {
		fail(EXIT_CAPSA, "--memory: \"%s\" is no size such as 512M or 2G (whole megabytes, 32M or more)",
		     argument);
		return -EINVAL;
	}
	options->sandbox.memory = bytes;
	return 1;
}

static int set_name(struct machine_options *options, const char *argument)
{
	if (!config_name_is_valid(argument)) {
		fail(EXIT_CAPSA,
		     "--name: \"%s\" cannot be one; a name has up to 64 letters, digits, \".\", \"_\" and \"-\", a "
		     "letter "
		     "or digit first",
		     argument);
		return -EINVAL;
	}
	options->sandbox.name = argument;
	return 1;
}

static int add_net(struct machine_options *options, int code, const char *argument)
{
	struct net_options *net = &options->sandbox.net;
	struct error err;
	int rc;

	if (!options->arena)
		options->arena = arena_new();
	if (!options->arena) {
		fail(EXIT_CAPSA, "no memory");
		return -ENOMEM;
	}
	if (code == MACHINE_OPTION_NET)
		rc = net_option_net(net, argument, options->arena, &err);
	else if (code == MACHINE_OPTION_PUBLISH)
		rc = net_option_publish(net, argument, options->arena, &err);
	else if (code == MACHINE_OPTION_POLICY)
		rc = net_option_policy(net, argument, options->arena, &err);
	else
		rc = net_option_rule(net, argument, code == MACHINE_OPTION_ALLOW, options->arena, &err);
	if (rc)
		fail(EXIT_CAPSA, "%s", err.text);
	return rc ? rc : 1;
}

static int add_cluster(struct machine_options *options, const char *argument)
{
	struct error err;
	int rc;

	if (!options->arena)
		options->arena = arena_new();
	if (!options->arena) {
		fail(EXIT_CAPSA, "no memory");
		return -ENOMEM;
	}
	rc = cluster_option_add(&options->sandbox.clusters, argument, options->arena, &err);
	if (rc)
		fail(EXIT_CAPSA, "%s", err.text);
	return rc ? rc : 1;
}

static int add_share(struct machine_options *options, const char *argument, bool is_root)
{
	const struct share *before = options->sandbox.shares;
	size_t n = options->sandbox.n_shares;
	struct share *shares;
	struct error err;

	for (size_t i = 0; is_root && i < n; i++)
		if (before[i].is_root) {
			fail(EXIT_CAPSA, "--root: a machine has one root; --share takes more folders");
			return -EINVAL;
		}
	if (!options->arena)
		options->arena = arena_new();
	shares = options->arena ? arena_alloc(options->arena, n + 1, sizeof *shares) : NULL;
	if (!shares) {
		fail(EXIT_CAPSA, "no memory");
		return -ENOMEM;
	}
	if (share_parse(argument, is_root, options->arena, &shares[n], &err)) {
		fail(EXIT_CAPSA, "%s", err.text);
		return -EINVAL;
	}
	if (n > 0)
		memcpy(shares, before, n * sizeof *shares);
	options->sandbox.shares = shares;
	options->sandbox.n_shares = n + 1;
	return 1;
}

int machine_option(struct machine_options *options, int code, const char *argument)
{
	switch (code) {
	case 'c':
		options->sandbox.file = argument;
		return 1;
	case 'q':
		options->quiet = true;
		return 1;
	case MACHINE_OPTION_NAME:
		return set_name(options, argument);
	case MACHINE_OPTION_KERNEL:
		options->sandbox.kernel = argument;
		return 1;
	case MACHINE_OPTION_CPUS:
		return set_cpus(options, argument);
	case MACHINE_OPTION_MEMORY:
		return set_memory(options, argument);
	case MACHINE_OPTION_NET:
	case MACHINE_OPTION_PUBLISH:
	case MACHINE_OPTION_ALLOW:
	case MACHINE_OPTION_DENY:
	case MACHINE_OPTION_POLICY:
		return add_net(options, code, argument);
	case MACHINE_OPTION_CLUSTER:
		return add_cluster(options, argument);
	case MACHINE_OPTION_SHARE:
		return add_share(options, argument, false);
	case MACHINE_OPTION_ROOT:
		return add_share(options, argument, true);
	case MACHINE_OPTION_TRACE:
		options->trace = argument;
		return 1;
	default:
		return 0;
	}
}

void machine_options_free(struct machine_options *options)
{
	arena_free(options->arena);
}
