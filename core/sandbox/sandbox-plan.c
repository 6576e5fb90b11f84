/* SPDX-License-Identifier: MIT */
/* sandbox-plan.c - what a sandbox machine is made of. Called by the verbs run and start, and for `sandbox = true`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/protocol.h"
#include "core/base/arena.h"
#include "core/base/path.h"
#include "core/sandbox/lifeline.h"
#include "core/sandbox/sandbox.h"

/* The guest's CID: every machine has a vsock of its own, so that all may have the same. */
#define GUEST_CID 3u

/* Each line of the kernel's costs a write to the console. A user's own words come behind, and the last of a key counts.
 */
static const char quick_words[] = "quiet";

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory");
}

static bool has_device(const struct config *config, const char *plugin)
{
	for (size_t i = 0; i < config->n_devices; i++)
		if (strcmp(config->devices[i].plugin, plugin) == 0)
			return true;
	return false;
}

/* As a string of a configuration file. NULL: no memory. */
static char *quoted(struct arena *arena, const char *text)
{
	char *out = arena_alloc(arena, 2 * strlen(text) + 1, 1), *at = out;

	for (; out && *text; text++) {
		if (*text == '"' || *text == '\\')
			*at++ = '\\';
		*at++ = *text;
	}
	return out;
}

static int add_console(struct config *config, const char *folder, struct error *err)
{
	char *path = quoted(config->arena, folder);
	char *text = path ? arena_format(config->arena,
	                                 "plugin = \"console\"; backend = \"file\"; path = \"%s/console.log\"; "
	                                 "limit = \"" SANDBOX_CONSOLE_LIMIT "\";",
	                                 path)
	                  : NULL;

	return text ? config_add_device(config, text, NULL, err) : no_memory(err);
}

/* A vsock of the user's has his CID and his socket; the agent's clients have one of ours in any case. */
static int add_vsock(struct config *config, const char *folder, struct error *err)
{
	const struct config_vsock *theirs = config->vsock;
	size_t n = theirs ? theirs->n_ports : 0;
	struct config_vsock *vsock = arena_alloc(config->arena, 1, sizeof *vsock);
	struct config_vsock_port *ports = arena_alloc(config->arena, n + 1, sizeof *ports);

	if (!vsock || !ports)
		return no_memory(err);
	*vsock = theirs ? *theirs : (struct config_vsock){ .cid = GUEST_CID };
	if (n > 0)
		memcpy(ports, theirs->ports, n * sizeof *ports);
	ports[n] = (struct config_vsock_port){ .port = AGENT_PORT,
		                               .path = arena_format(config->arena, "%s/" SANDBOX_AGENT_SOCKET, folder),
		                               .held = true };
	if (!vsock->socket)
		vsock->socket = arena_format(config->arena, "%s/vsock.sock", folder);
	if (!ports[n].path || !vsock->socket)
		return no_memory(err);
	vsock->ports = ports;
	vsock->n_ports = n + 1;
	config->vsock = vsock;
	return 0;
}

/* Ours stand before the user's. */
static int add_words(struct config *config, struct error *err)
{
	const char **words;
	size_t n = 0;

	if (config->cmdline_override)
		return 0;
	while (config->cmdline[n])
		n++;
	words = arena_alloc(config->arena, n + 3, sizeof *words);
	if (!words)
		return no_memory(err);
	words[0] = quick_words;
	words[1] = arena_format(config->arena, "capsa.hostname=%s", config->name);
	if (!words[1])
		return no_memory(err);
	memcpy(words + 2, config->cmdline, n * sizeof *words);
	config->cmdline = words;
	return 0;
}

static int add_devices(struct config *config, struct error *err)
{
	char *base = path_runtime_dir(err), *folder;
	int rc = 0;

	if (!base)
		return -EIO;
	folder = path_join(base, config->name);
	if (!folder)
		rc = no_memory(err);
	if (!rc && !has_device(config, "console"))
		rc = add_console(config, folder, err);
	if (!rc && !has_device(config, "rng"))
		rc = config_add_device(config, "plugin = \"rng\";", NULL, err);
	if (!rc)
		rc = add_vsock(config, folder, err);
	free(folder);
	free(base);
	return rc;
}

static int add_image(struct sandbox_plan *plan, const struct sandbox_options *options, struct error *err)
{
	struct config *config = plan->config;
	const char *kernel = options->kernel ? options->kernel : config->kernel;
	int rc = image_find_or_build(kernel, options->progress, options->ctx, &plan->image, err);

	if (rc)
		return rc;
	config->kernel = arena_strdup(config->arena, plan->image.kernel);
	/* An initrd of the user's own has an agent in it, or whatever he wants. */
	if (!config->initrd)
		config->initrd = plan->image.initrd;
	return config->kernel ? 0 : no_memory(err);
}

int sandbox_plan_config(struct config *config, const struct sandbox_options *options, struct sandbox_plan *plan,
                        struct error *err)
{
	int rc;

	*plan = (struct sandbox_plan){ .config = config, .image = { .fd = -1 } };
	if (options->cpus)
		config->cpus = options->cpus;
	if (options->memory)
		config->memory = options->memory;
	if (options->name)
		config->name = arena_strdup(config->arena, options->name);
	if (!config->name)
		config->name = arena_format(config->arena, "run-%ld", (long)getpid());
	rc = config->name ? 0 : no_memory(err);
	for (size_t i = 0; !rc && i < options->n_shares; i++)
		rc = share_add(&options->shares[i], config, err);
	if (!rc)
		rc = net_options_add(&options->net, config, err);
	/* Behind it: the first card that has a gateway has the default route, and --publish needs it to be that one. */
	if (!rc)
		rc = cluster_options_add(&options->clusters, config, err);
	if (!rc)
		rc = add_devices(config, err);
	if (!rc)
		rc = add_words(config, err);
	if (!rc)
		rc = add_image(plan, options, err);
	return rc;
}

int sandbox_plan(const struct sandbox_options *options, struct sandbox_plan *plan, struct error *err)
{
	struct config *config;
	int rc;

	if (options->file)
		rc = config_read(options->file, &config, err);
	else
		rc = config_new("capsa run", &config, err);
	if (rc)
		return rc;
	if (!options->file)
		config->memory = SANDBOX_MEMORY;
	rc = sandbox_plan_config(config, options, plan, err);
	if (rc)
		sandbox_plan_free(plan);
	return rc;
}

void sandbox_plan_free(struct sandbox_plan *plan)
{
	if (plan->image.initrd)
		image_release(&plan->image);
	config_free(plan->config);
	*plan = (struct sandbox_plan){ .image = { .fd = -1 } };
}
