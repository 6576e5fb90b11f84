/* SPDX-License-Identifier: MIT */
/*
 * verb-plugin.c - `capsa plugin`: which plugins there are, what one takes, and whether a file is one.
 *
 * Everything printed comes from the description that the plugin itself carries (struct capsa_plugin).
 */
#include "core/cli/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_ids.h>

#include "core/base/text.h"
#include "core/config/keys.h"
#include "core/plugin/loader.h"

static const char *const thread_models[] = {
	[CAPSA_THREAD_REACTOR] = "reactor",
	[CAPSA_THREAD_WORKER] = "worker",
	[CAPSA_THREAD_PARALLEL] = "parallel",
};

static const struct {
	uint32_t bit;
	const char *name;
} needs[] = {
	{ CAPSA_NEEDS_FILES, "files" },
	{ CAPSA_NEEDS_INTERNET, "internet" },
	{ CAPSA_NEEDS_UNIX, "unix" },
};

#define N_NEEDS (sizeof needs / sizeof needs[0])

static const char *device_kind(uint32_t id)
{
	switch (id) {
	case VIRTIO_ID_NET:
		return "network card";
	case VIRTIO_ID_BLOCK:
		return "block device";
	case VIRTIO_ID_CONSOLE:
		return "console";
	case VIRTIO_ID_RNG:
		return "entropy source";
	case VIRTIO_ID_BALLOON:
		return "memory balloon";
	case VIRTIO_ID_SCSI:
		return "SCSI host";
	case VIRTIO_ID_9P:
		return "9P transport";
	case VIRTIO_ID_GPU:
		return "graphics card";
	case VIRTIO_ID_INPUT:
		return "input device";
	case VIRTIO_ID_VSOCK:
		return "socket device";
	case VIRTIO_ID_CRYPTO:
		return "crypto device";
	case VIRTIO_ID_FS:
		return "file system";
	case VIRTIO_ID_PMEM:
		return "persistent memory";
	default:
		return "device";
	}
}

static bool can_save(const struct capsa_plugin *info)
{
	return info->quiesce && info->save && info->restore;
}

static bool has_limits(const struct capsa_key *key)
{
	return (key->type == CAPSA_TYPE_INT || key->type == CAPSA_TYPE_SIZE) && key->min < key->max;
}

/* Prints one JSON document and frees it. */
static int print_json(json_t *root, int status)
{
	if (!root || json_dumpf(root, stdout, JSON_INDENT(2)) < 0)
		status = fail(EXIT_FAILED, "no JSON could be written: is libjansson installed?");
	else
		putchar('\n');
	json_decref(root);
	return status;
}

/* A plugin's words may be no UTF-8, which JSON must be. */
static void set_text(json_t *object, const char *key, const char *text)
{
	json_t *value = json_string(text);

	json_object_set_new(object, key, value ? value : json_string("(not UTF-8)"));
}

/* ---- loading ---- */

#define LOAD_LIMIT 5 /* seconds; what hangs longer never ends */

static int end_of(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/*
 * Loads the plugin in a process of its own first: one that crashes when it is loaded, or ends the process, is then
 * a line like any other. 0 or -errno with err. Where no process can be had, nothing is tried.
 */
static int try_load(const char *name, struct error *err)
{
	struct plugin *plugin;
	char done = 0;
	int ends[2], status;
	pid_t child;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC))
		return 0;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGALRM, SIG_DFL);
		alarm(LOAD_LIMIT);
		plugin_load(name, &plugin, err);
		_exit(write(ends[1], "x", 1) != 1);
	}
	close(ends[1]);
	while (child > 0 && (n = read(ends[0], &done, 1)) < 0 && errno == EINTR)
		;
	close(ends[0]);
	if (child < 0)
		return 0;
	status = end_of(child);
	if (done)
		return 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return error_set(err, ETIMEDOUT, "%s does not load within %d seconds: a fault of the plugin", name, LOAD_LIMIT);
	if (WIFSIGNALED(status))
		return error_set(err, EPROTO, "%s ends whoever loads it (%s): a fault of the plugin", name,
		                 strsignal(WTERMSIG(status)));
	return error_set(err, EPROTO, "%s ends whoever loads it (exit status %d): a fault of the plugin", name,
	                 WEXITSTATUS(status));
}

static int load(const char *name, struct plugin **plugin, struct error *err)
{
	int rc = try_load(name, err);

	return rc ? rc : plugin_load(name, plugin, err);
}

/* ---- ls ---- */

struct row {
	const char *name;
	struct plugin *plugin; /* NULL: error says why */
	struct error error;
};

static void ls_text(const struct row *rows, size_t n)
{
	int name_width = 4, version_width = 7, description_width = 11;

	for (size_t i = 0; i < n; i++) {
		const struct capsa_plugin *info = rows[i].plugin ? plugin_info(rows[i].plugin) : NULL;

		if ((int)strlen(rows[i].name) > name_width)
			name_width = (int)strlen(rows[i].name);
		if (info && (int)strlen(info->version) > version_width)
			version_width = (int)strlen(info->version);
		if (info && (int)strlen(info->description) > description_width)
			description_width = (int)strlen(info->description);
	}
	printf("%-*s  %-*s  %-*s  FILE\n", name_width, "NAME", version_width, "VERSION", description_width,
	       "DESCRIPTION");
	for (size_t i = 0; i < n; i++) {
		const struct capsa_plugin *info = rows[i].plugin ? plugin_info(rows[i].plugin) : NULL;

		if (info)
			printf("%-*s  %-*s  %-*s  %s\n", name_width, info->name, version_width, info->version,
			       description_width, info->description, plugin_file(rows[i].plugin));
		else
			printf("%-*s  %-*s  cannot be used: %s\n", name_width, rows[i].name, version_width, "-",
			       rows[i].error.text);
	}
}

static int ls_json(const struct row *rows, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *entry = json_object();

		set_text(entry, "name", rows[i].name);
		if (rows[i].plugin) {
			set_text(entry, "version", plugin_info(rows[i].plugin)->version);
			set_text(entry, "description", plugin_info(rows[i].plugin)->description);
			set_text(entry, "file", plugin_file(rows[i].plugin));
		} else {
			set_text(entry, "error", rows[i].error.text);
		}
		json_array_append_new(list, entry);
	}
	return print_json(json_pack("{s:o}", "plugins", list), EXIT_OK);
}

/* All folders, for "none found". */
static void print_path(void)
{
	char **path = plugin_path();

	fputs("No plugins found. Searched:\n", stdout);
	for (size_t i = 0; path && path[i]; i++)
		printf("  %s\n", path[i]);
	fputs("Set CAPSA_PLUGIN_PATH to search other folders first.\n", stdout);
	plugin_path_free(path);
}

static int ls(bool json)
{
	char **names = plugin_names();
	struct row *rows = NULL;
	int status = EXIT_OK;
	size_t n = 0;

	while (names && names[n])
		n++;
	if (names)
		rows = calloc(n + 1, sizeof *rows);
	if (!rows) {
		plugin_path_free(names);
		return fail(EXIT_FAILED, "out of memory");
	}
	for (size_t i = 0; i < n; i++) {
		rows[i].name = names[i];
		if (load(names[i], &rows[i].plugin, &rows[i].error) < 0)
			rows[i].plugin = NULL;
	}
	if (json)
		status = ls_json(rows, n);
	else if (n)
		ls_text(rows, n);
	else
		print_path();
	for (size_t i = 0; i < n; i++)
		plugin_unload(rows[i].plugin);
	free(rows);
	plugin_path_free(names);
	return status;
}

/* ---- show ---- */

/* "integer 1..9", "size 0..4G", "boolean". Returns buf. */
static const char *key_type(const struct capsa_key *key, char *buf, size_t len)
{
	char min[32], max[32];

	if (!has_limits(key))
		snprintf(buf, len, "%s", keys_type_name(key->type));
	else if (key->type == CAPSA_TYPE_SIZE && key->min >= 0)
		snprintf(buf, len, "%s %s..%s", keys_type_name(key->type),
		         text_format_size((uint64_t)key->min, min, sizeof min),
		         text_format_size((uint64_t)key->max, max, sizeof max));
	else
		snprintf(buf, len, "%s %" PRId64 "..%" PRId64, keys_type_name(key->type), key->min, key->max);
	return buf;
}

static const char *key_default(const struct capsa_key *key)
{
	if (key->required)
		return "required";
	return !key->default_text ? "-" : key->default_text[0] ? key->default_text : "\"\"";
}

static void show_keys(const struct capsa_key *keys)
{
	int name_width = 3, type_width = 4, default_width = 7;
	char type[128];

	for (const struct capsa_key *key = keys; key->name; key++) {
		int type_len = (int)strlen(key_type(key, type, sizeof type)),
		    default_len = (int)strlen(key_default(key));

		if ((int)strlen(key->name) > name_width)
			name_width = (int)strlen(key->name);
		if (type_len > type_width)
			type_width = type_len;
		if (default_len > default_width)
			default_width = default_len;
	}
	printf("\n%-*s  %-*s  %-*s  MEANING\n", name_width, "KEY", type_width, "TYPE", default_width, "DEFAULT");
	for (const struct capsa_key *key = keys; key->name; key++) {
		printf("%-*s  %-*s  %-*s  %s\n", name_width, key->name, type_width, key_type(key, type, sizeof type),
		       default_width, key_default(key), key->help);
		if (key->type == CAPSA_TYPE_CHOICE) {
			printf("%*s", name_width + type_width + default_width + 6, "");
			for (size_t i = 0; key->choices[i]; i++)
				printf("%s%s", i ? " | " : "", key->choices[i]);
			putchar('\n');
		}
		if (key->unique)
			printf("%*sno two devices of a machine may have the same\n",
			       name_width + type_width + default_width + 6, "");
		if (key->flags & CAPSA_KEY_LIVE)
			printf("%*slive: can be changed while the machine runs, capsa-api(7)\n",
			       name_width + type_width + default_width + 6, "");
	}
}

static void show_text(const struct plugin *plugin)
{
	const struct capsa_plugin *info = plugin_info(plugin);
	bool any = false;

	printf("name         %s\n", info->name);
	printf("version      %s\n", info->version);
	printf("description  %s\n", info->description);
	printf("file         %s\n", plugin_file(plugin));
	printf("device       %s (virtio device %u)\n", device_kind(info->virtio_device_id), info->virtio_device_id);
	printf("threads      %s\n", thread_models[info->thread_model]);
	printf("needs        ");
	for (size_t i = 0; i < N_NEEDS; i++) {
		if (!(info->needs & needs[i].bit))
			continue;
		printf("%s%s", any ? ", " : "", needs[i].name);
		any = true;
	}
	printf("%s\n", any ? "" : "nothing");
	printf("saved state  %s\n", can_save(info) ? "yes" : "no");
	if (info->keys && info->keys[0].name)
		show_keys(info->keys);
	else
		puts("\nIt takes no keys.");
}

static json_t *key_json(const struct capsa_key *key)
{
	json_t *entry = json_object(), *choices;

	set_text(entry, "name", key->name);
	set_text(entry, "type", keys_type_name(key->type));
	if (key->default_text)
		set_text(entry, "default", key->default_text);
	json_object_set_new(entry, "required", json_boolean(key->required));
	json_object_set_new(entry, "unique", json_boolean(key->unique));
	json_object_set_new(entry, "live", json_boolean(key->flags & CAPSA_KEY_LIVE));
	set_text(entry, "help", key->help);
	if (has_limits(key)) {
		json_object_set_new(entry, "min", json_integer(key->min));
		json_object_set_new(entry, "max", json_integer(key->max));
	}
	if (key->type == CAPSA_TYPE_CHOICE) {
		choices = json_array();
		for (size_t i = 0; key->choices[i]; i++)
			json_array_append_new(choices, json_string(key->choices[i]));
		json_object_set_new(entry, "choices", choices);
	}
	return entry;
}

static int show_json(const struct plugin *plugin)
{
	const struct capsa_plugin *info = plugin_info(plugin);
	json_t *root = json_object(), *need_list = json_array(), *keys = json_array();

	set_text(root, "name", info->name);
	set_text(root, "version", info->version);
	set_text(root, "description", info->description);
	set_text(root, "file", plugin_file(plugin));
	json_object_set_new(root, "virtio_device_id", json_integer(info->virtio_device_id));
	set_text(root, "device", device_kind(info->virtio_device_id));
	set_text(root, "threads", thread_models[info->thread_model]);
	for (size_t i = 0; i < N_NEEDS; i++)
		if (info->needs & needs[i].bit)
			json_array_append_new(need_list, json_string(needs[i].name));
	json_object_set_new(root, "needs", need_list);
	json_object_set_new(root, "saves_state", json_boolean(can_save(info)));
	for (const struct capsa_key *key = info->keys; key && key->name; key++)
		json_array_append_new(keys, key_json(key));
	json_object_set_new(root, "keys", keys);
	return print_json(root, EXIT_OK);
}

static int show(const char *name, bool json)
{
	struct plugin *plugin;
	struct error err = { .text = "" };
	int status = EXIT_OK;

	if (load(name, &plugin, &err) < 0)
		return fail(EXIT_FAILED, "%s", err.text);
	if (json)
		status = show_json(plugin);
	else
		show_text(plugin);
	plugin_unload(plugin);
	return status;
}

/* ---- check ---- */

static json_t *check_json(const char *file, const struct capsa_plugin *info, const char *error)
{
	json_t *root = json_object();

	json_object_set_new(root, "ok", json_boolean(info));
	set_text(root, "file", file);
	if (info) {
		set_text(root, "name", info->name);
		set_text(root, "version", info->version);
	} else {
		set_text(root, "error", error);
	}
	return root;
}

static int check(const char *file, bool json)
{
	size_t len = strlen(file);
	/* Here "x.so" means the file beside us: nothing else can be meant. */
	bool bare = !strchr(file, '/') && len > 3 && strcmp(file + len - 3, ".so") == 0;
	char *path = text_format("%s%s", bare ? "./" : "", file);
	const struct capsa_plugin *info;
	struct plugin *plugin;
	struct error err = { .text = "" };
	int status;

	if (!path)
		return fail(EXIT_FAILED, "out of memory");
	if (load(path, &plugin, &err) < 0) {
		status = json ? print_json(check_json(file, NULL, err.text), EXIT_FAILED)
		              : fail(EXIT_FAILED, "%s", err.text);
		free(path);
		return status;
	}
	info = plugin_info(plugin);
	if (json) {
		status = print_json(check_json(file, info, NULL), EXIT_OK);
	} else {
		printf("ok: %s is the plugin %s %s, built for plugin interface %u.%u\n", file, info->name,
		       info->version, info->api_version, info->api_revision);
		status = EXIT_OK;
	}
	plugin_unload(plugin);
	free(path);
	return status;
}

static int run(int argc, char **argv)
{
	const char *words[2];
	int n_words, status;
	bool json;

	status = verb_words(&verb_plugin, argc, argv, words, &n_words, &json);
	if (status >= 0)
		return status;
	if (n_words == 1 && strcmp(words[0], "ls") == 0)
		return ls(json);
	if (n_words == 2 && strcmp(words[0], "show") == 0)
		return show(words[1], json);
	if (n_words == 2 && strcmp(words[0], "check") == 0)
		return check(words[1], json);
	if (n_words == 0)
		return verb_usage(&verb_plugin, "plugin needs to know what to do");
	if (n_words == 1 && strcmp(words[0], "show") == 0)
		return verb_usage(&verb_plugin, "show needs the name of a plugin (capsa plugin ls)");
	if (n_words == 1 && strcmp(words[0], "check") == 0)
		return verb_usage(&verb_plugin, "check needs a file");
	if (strcmp(words[0], "ls") == 0)
		return verb_usage(&verb_plugin, "ls takes no argument");
	return verb_usage(&verb_plugin, "plugin knows ls, show and check");
}

const struct verb verb_plugin = {
	.name = "plugin",
	.arguments = "ls | show NAME | check FILE.so  [--json]",
	.summary = "list device plugins, show what one takes, check a file",
	.help = "\n"
		"  ls             all plugins on the search path\n"
		"  show NAME      what a plugin is and which keys its devices entry takes\n"
		"  check FILE.so  loads a file as capsa would and says what is wrong with it\n"
		"  --json         for programs\n"
		"\n"
		"CAPSA_PLUGIN_PATH (folders separated by ':') is searched before capsa's own folder.\n",
	.run = run,
};
