/* SPDX-License-Identifier: MIT */
/*
 * config.c - see config.h. Reads the file into a tree (read.c), checks its keys against the tables below
 * (value.c), and fills struct config. Called by core/cli on the main thread. Owns nothing that
 * outlives a call besides the struct that it returns.
 */
#include "core/config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/text.h"
#include "core/config/folder.h"
#include "core/config/read.h"
#include "core/config/value.h"

enum { MIB = 1 << 20, NAME_MAX_LEN = 64, DEVICES_MAX = 256, PORTS_MAX = 256 };

static const char name_rule[] = "a name has up to 64 letters, digits, \".\", \"_\" and \"-\", a letter or digit first";

/* A key and what becomes of its checked value. A key of type NONE is checked by `take` itself. */
struct rule {
	struct capsa_key key;
	int (*take)(struct config *config, const struct capsa_value *value, struct error *err);
};

static struct config_place place_of(const struct capsa_value *value)
{
	return (struct config_place){ value->file, value->line };
}

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory for the configuration");
}

/* Words in which people ask for firmware. */
static bool means_firmware(const char *word)
{
	static const char *const words[] = { "firmware", "uefi", "efi", "ovmf", "bios", "seabios", NULL };
	size_t i;

	for (i = 0; words[i]; i++)
		if (!strcasecmp(word, words[i]))
			return true;
	return false;
}

static int refuse_firmware(const struct capsa_value *value, struct error *err)
{
	return value_error(value, err, "UEFI is not supported: capsa boots Linux directly, use boot.kernel");
}

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63} */
bool config_name_is_valid(const char *name)
{
	size_t i;

	if (!isalnum((unsigned char)name[0]))
		return false;
	for (i = 1; name[i]; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return i <= NAME_MAX_LEN;
}

/* [a-z][a-z0-9-]* */
static bool is_plugin_name(const char *name)
{
	size_t i;

	if (!(name[0] >= 'a' && name[0] <= 'z'))
		return false;
	for (i = 1; name[i]; i++)
		if (!(name[i] >= 'a' && name[i] <= 'z') && !isdigit((unsigned char)name[i]) && name[i] != '-')
			return false;
	return i <= NAME_MAX_LEN;
}

static int resolve(struct config *config, const struct capsa_value *value, const char **path, struct error *err)
{
	const char *folder = folder_of_value(config, value, config->arena);

	if (!value->string[0])
		return value_error(value, err, "key \"%s\": the path is empty", value->name);
	*path = folder ? value_absolute_path(folder, value->string, config->arena) : NULL;
	return *path ? 0 : no_memory(err);
}

/* Looks each key of `group` up in `rules` (ends with a NULL name), checks it, and hands it to its take(). */
static int take_group(struct config *config, const struct capsa_value *group, const struct rule *rules,
                      const char *in_front, const char *otherwise, struct error *err)
{
	const char *names[16] = { NULL };
	struct capsa_value checked;
	const struct rule *rule;
	const char *folder;
	size_t i, n = 0;
	int rc;

	for (rule = rules; rule->key.name && n < sizeof names / sizeof *names - 1; rule++)
		names[n++] = rule->key.name;
	for (i = 0; i < group->n_items; i++) {
		const struct capsa_value *value = &group->items[i];

		for (rule = rules; rule->key.name && strcmp(rule->key.name, value->name);)
			rule++;
		if (!rule->key.name && means_firmware(value->name))
			return refuse_firmware(value, err);
		if (!rule->key.name)
			return value_unknown_key(value, in_front, names, otherwise, err);
		if (rule->key.type != CAPSA_TYPE_NONE) {
			folder = folder_of_value(config, value, config->arena);
			if (!folder)
				return no_memory(err);
			rc = value_check(&rule->key, value, folder, config->arena, &checked, err);
			if (rc)
				return rc;
			value = &checked;
		}
		rc = rule->take(config, value, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* ------------------------------------------------------------------------
 * boot = { ... }
 * --------------------------------------------------------------------- */

static int take_kernel(struct config *config, const struct capsa_value *value, struct error *err)
{
	config->kernel_place = place_of(value);
	return strcmp(value->string, "default") ? resolve(config, value, &config->kernel, err) : 0;
}

static int take_initrd(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->initrd = value->string;
	config->initrd_place = place_of(value);
	return 0;
}

static int take_cmdline(struct config *config, const struct capsa_value *value, struct error *err)
{
	const char **words;
	size_t i, n = value->type == CAPSA_TYPE_LIST ? value->n_items : 1;

	if (value->type != CAPSA_TYPE_LIST && value->type != CAPSA_TYPE_STRING)
		return value_mismatch(value, "the kernel's words, such as [ \"quiet\", \"panic=5\" ]", err);
	words = arena_alloc(config->arena, n + 1, sizeof *words);
	if (!words)
		return no_memory(err);
	for (i = 0; i < n; i++) {
		const struct capsa_value *word = value->type == CAPSA_TYPE_LIST ? &value->items[i] : value;

		if (word->type != CAPSA_TYPE_STRING)
			return value_error(word, err, "key \"cmdline\": word %zu is no string; write it in quotes",
			                   i + 1);
		words[i] = word->string;
	}
	config->cmdline = words;
	config->cmdline_place = place_of(value);
	return 0;
}

static int take_kernel_entry(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->kernel_entry = (enum config_kernel_entry)value->integer;
	return 0;
}

static int take_override(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->cmdline_override = value->boolean;
	return 0;
}

static const char *const kernel_entries[] = { "auto", "compressed", NULL }; /* as enum config_kernel_entry */

static const struct rule boot_rules[] = {
	{ { .name = "kernel", .type = CAPSA_TYPE_STRING }, take_kernel },
	{ { .name = "initrd", .type = CAPSA_TYPE_PATH }, take_initrd },
	{ { .name = "cmdline", .type = CAPSA_TYPE_NONE }, take_cmdline },
	{ { .name = "kernel_entry", .type = CAPSA_TYPE_CHOICE, .choices = kernel_entries }, take_kernel_entry },
	{ { .name = "override", .type = CAPSA_TYPE_BOOL }, take_override },
	{ .key = { .name = NULL } },
};

/* ------------------------------------------------------------------------
 * devices = ( { ... }, ... )
 * --------------------------------------------------------------------- */

static const struct capsa_value *find_key(const struct capsa_value *group, const char *name)
{
	size_t i;

	for (i = 0; i < group->n_items; i++)
		if (!strcmp(group->items[i].name, name))
			return &group->items[i];
	return NULL;
}

static int take_plugin(struct config *config, const struct capsa_value *entry, struct config_device *device,
                       struct error *err)
{
	static const char *const names[] = { "plugin", NULL };
	const struct capsa_value *plugin = find_key(entry, "plugin");
	size_t i;

	for (i = 0; !plugin && i < entry->n_items; i++)
		if (text_suggest(entry->items[i].name, names) || !strcmp(entry->items[i].name, "type") ||
		    !strcmp(entry->items[i].name, "driver"))
			return value_unknown_key(&entry->items[i], "a device without \"plugin\": unknown key", names,
			                         "write plugin = \"NAME\"", err);
	if (!plugin)
		return value_error(entry, err, "a device without \"plugin\"; write for example plugin = \"console\"");
	if (plugin->type != CAPSA_TYPE_STRING)
		return value_mismatch(plugin, "the name of a plugin in quotes, such as \"console\"", err);
	if (strchr(plugin->string, '/'))
		return resolve(config, plugin, &device->plugin, err);
	if (!is_plugin_name(plugin->string))
		return value_error(plugin, err,
		                   "key \"plugin\": \"%.64s\" is no name of a plugin (such as \"console\") and no path "
		                   "(such as \"./my.so\")",
		                   plugin->string);
	device->plugin = plugin->string;
	return 0;
}

static int take_device(struct config *config, const struct capsa_value *entry, struct config_device *device,
                       struct error *err)
{
	const struct capsa_value *name;
	struct capsa_value *values;
	size_t i;
	int rc;

	if (entry->type != CAPSA_TYPE_GROUP)
		return value_mismatch(entry, "a device as a group, { plugin = \"NAME\"; ... }", err);
	device->file = entry->file;
	device->line = entry->line;
	rc = take_plugin(config, entry, device, err);
	if (rc)
		return rc;
	name = find_key(entry, "name");
	if (name && name->type != CAPSA_TYPE_STRING)
		return value_mismatch(name, "a string in quotes", err);
	if (name && !config_name_is_valid(name->string))
		return value_error(name, err, "key \"name\": \"%.80s\" cannot be one; %s", name->string, name_rule);
	if (name)
		device->name = name->string;
	values = arena_alloc(config->arena, entry->n_items, sizeof *values);
	if (!values)
		return no_memory(err);
	for (i = 0; i < entry->n_items; i++)
		if (strcmp(entry->items[i].name, "plugin") && strcmp(entry->items[i].name, "name"))
			values[device->n_values++] = entry->items[i];
	device->values = values;
	return 0;
}

static const struct config_device *find_device(const struct config_device *devices, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (devices[i].name && !strcmp(devices[i].name, name))
			return &devices[i];
	return NULL;
}

/* "console" and "/a/console.so" -> "console0", or the first number that no device has. */
static int name_device(struct config *config, struct config_device *devices, size_t n, size_t index)
{
	const char *base = strrchr(devices[index].plugin, '/');
	char *stem, *name;
	size_t number, i;

	base = base ? base + 1 : devices[index].plugin;
	stem = arena_strdup(config->arena, base);
	if (!stem)
		return -ENOMEM;
	if (strlen(stem) > 3 && !strcmp(stem + strlen(stem) - 3, ".so"))
		stem[strlen(stem) - 3] = '\0';
	for (i = 0; stem[i] && i < NAME_MAX_LEN / 2; i++)
		if (!isalnum((unsigned char)stem[i]) && !(i && strchr("._-", stem[i])))
			stem[i] = i ? '-' : 'x';
	stem[i] = '\0';
	for (number = 0;; number++) {
		name = arena_format(config->arena, "%s%zu", stem, number);
		if (!name)
			return -ENOMEM;
		if (!find_device(devices, n, name))
			break;
	}
	devices[index].name = name;
	return 0;
}

static int take_devices(struct config *config, const struct capsa_value *list, struct error *err)
{
	const struct config_device *other;
	struct config_device *devices;
	size_t i;
	int rc;

	if (list->type != CAPSA_TYPE_LIST)
		return value_mismatch(list, "a list of groups, ( { plugin = \"console\"; }, ... )", err);
	if (list->n_items > DEVICES_MAX)
		return value_error(list, err, "key \"devices\": %zu devices are too many; the most is %d",
		                   list->n_items, DEVICES_MAX);
	devices = arena_alloc(config->arena, list->n_items, sizeof *devices);
	if (!devices)
		return no_memory(err);
	for (i = 0; i < list->n_items; i++) {
		const struct capsa_value *entry = &list->items[i];

		rc = take_device(config, entry, &devices[i], err);
		if (rc)
			return rc;
		other = devices[i].name ? find_device(devices, i, devices[i].name) : NULL;
		if (other)
			return value_error(find_key(entry, "name"), err,
			                   "key \"name\": \"%s\" is the name of the device at %s:%u, too",
			                   devices[i].name, other->file, other->line);
	}
	/* Numbers come last: a name that the user chose is never taken by one. */
	for (i = 0; i < list->n_items; i++)
		if (!devices[i].name && name_device(config, devices, list->n_items, i))
			return no_memory(err);
	config->devices = devices;
	config->n_devices = list->n_items;
	return 0;
}

/* ------------------------------------------------------------------------
 * vsock = { ... }
 * --------------------------------------------------------------------- */

static int take_vsock_cid(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->vsock->cid = (uint64_t)value->integer;
	return 0;
}

static int take_vsock_socket(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->vsock->socket = value->string;
	return 0;
}

/* The entry of `ports` that is being read. */
static struct config_vsock_port *this_port(struct config *config)
{
	return &config->vsock->ports[config->vsock->n_ports];
}

static int take_port_port(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	this_port(config)->port = (uint32_t)value->integer;
	return 0;
}

static int take_port_path(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	this_port(config)->path = value->string;
	return 0;
}

static int take_port_mode(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	this_port(config)->connect = value->integer == 1;
	return 0;
}

static int take_port_type(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	this_port(config)->seqpacket = value->integer == 1;
	this_port(config)->type_place = place_of(value);
	return 0;
}

static const char *const port_modes[] = { "listen", "connect", NULL };
static const char *const port_types[] = { "stream", "seqpacket", NULL };

static const struct rule vsock_port_rules[] = {
	{ { .name = "port", .type = CAPSA_TYPE_INT, .min = 1, .max = 4294967294 }, take_port_port },
	{ { .name = "path", .type = CAPSA_TYPE_PATH }, take_port_path },
	{ { .name = "mode", .type = CAPSA_TYPE_CHOICE, .choices = port_modes }, take_port_mode },
	{ { .name = "type", .type = CAPSA_TYPE_CHOICE, .choices = port_types }, take_port_type },
	{ .key = { .name = NULL } },
};

/* A port that connects twice, or two sockets at one path. */
static int check_port(const struct config_vsock *vsock, const struct config_vsock_port *port,
                      const struct capsa_value *entry, struct error *err)
{
	const struct config_vsock_port *other;

	if (port->connect && port->type_place.line)
		return error_set(err, EINVAL,
		                 "%s:%u: key \"type\": only for mode \"listen\"; a connection of the guest has the type "
		                 "that the guest asks for",
		                 port->type_place.file, port->type_place.line);
	if (!port->connect && vsock->socket && !strcmp(port->path, vsock->socket))
		return value_error(entry, err, "port %u: its path is that of the key \"socket\", too", port->port);
	for (other = vsock->ports; other < port; other++) {
		if (port->connect && other->connect && port->port == other->port)
			return value_error(entry, err, "port %u is connected at %s:%u, too", port->port,
			                   other->place.file, other->place.line);
		if (!port->connect && !other->connect && !strcmp(port->path, other->path))
			return value_error(entry, err, "port %u: its path is that of the port at %s:%u, too", port->port,
			                   other->place.file, other->place.line);
	}
	return 0;
}

static int take_vsock_port(struct config *config, const struct capsa_value *entry, struct error *err)
{
	struct config_vsock_port *port = this_port(config);
	int rc;

	if (entry->type != CAPSA_TYPE_GROUP)
		return value_mismatch(entry, "a port as a group, { port = 1024; path = \"PATH\"; }", err);
	port->place = place_of(entry);
	rc = take_group(config, entry, vsock_port_rules, "unknown key in ports",
	                "a port takes port, path, mode and type", err);
	if (rc)
		return rc;
	if (!port->port || !port->path)
		return value_error(entry, err, "a port without \"%s\"; write for example { port = 1024; path = \"app.sock\"; }",
		                   port->port ? "path" : "port");
	config->vsock->n_ports++;
	return 0;
}

static int take_vsock_ports(struct config *config, const struct capsa_value *list, struct error *err)
{
	size_t i;
	int rc;

	if (list->type != CAPSA_TYPE_LIST)
		return value_mismatch(list, "a list of groups, ( { port = 1024; path = \"app.sock\"; }, ... )", err);
	if (list->n_items > PORTS_MAX)
		return value_error(list, err, "key \"ports\": %zu ports are too many; the most is %d", list->n_items,
		                   PORTS_MAX);
	config->vsock->ports = arena_alloc(config->arena, list->n_items, sizeof *config->vsock->ports);
	if (!config->vsock->ports)
		return no_memory(err);
	for (i = 0; i < list->n_items; i++) {
		rc = take_vsock_port(config, &list->items[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

static const struct rule vsock_rules[] = {
	{ { .name = "cid", .type = CAPSA_TYPE_INT, .min = 3, .max = 4294967294 }, take_vsock_cid },
	{ { .name = "socket", .type = CAPSA_TYPE_PATH }, take_vsock_socket },
	{ { .name = "ports", .type = CAPSA_TYPE_NONE }, take_vsock_ports },
	{ .key = { .name = NULL } },
};

static int take_vsock(struct config *config, const struct capsa_value *value, struct error *err)
{
	const struct capsa_value *ports;
	size_t i;
	int rc;

	if (value->type != CAPSA_TYPE_GROUP)
		return value_mismatch(value, "a group, { cid = 3; socket = \"PATH\"; ... }", err);
	config->vsock = arena_alloc(config->arena, 1, sizeof *config->vsock);
	if (!config->vsock)
		return no_memory(err);
	*config->vsock = (struct config_vsock){ .cid = 3, .place = place_of(value) };
	rc = take_group(config, value, vsock_rules, "unknown key in vsock", "vsock takes cid, socket and ports", err);
	ports = find_key(value, "ports");
	for (i = 0; !rc && i < config->vsock->n_ports; i++)
		rc = check_port(config->vsock, &config->vsock->ports[i], &ports->items[i], err);
	return rc;
}

/* ------------------------------------------------------------------------
 * The top level
 * --------------------------------------------------------------------- */

static int take_name(struct config *config, const struct capsa_value *value, struct error *err)
{
	if (!config_name_is_valid(value->string))
		return value_error(value, err, "key \"name\": \"%.80s\" cannot be one; %s", value->string, name_rule);
	config->name = value->string;
	return 0;
}

static int take_cpus(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->cpus = (unsigned)value->integer;
	config->cpus_place = place_of(value);
	return 0;
}

static int take_memory(struct config *config, const struct capsa_value *value, struct error *err)
{
	if (value->integer % MIB)
		return value_error(
			value, err,
			"key \"memory\": %lld bytes are no whole number of MiB; write a size such as \"512M\"",
			(long long)value->integer);
	config->memory = (uint64_t)value->integer;
	config->memory_place = place_of(value);
	return 0;
}

static int take_memory_shared(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->memory_shared = value->boolean;
	return 0;
}

static int take_on_reboot(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->on_reboot = (enum config_reboot)value->integer;
	return 0;
}

static int take_stop_timeout(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->stop_timeout = (unsigned)value->integer;
	return 0;
}

static int take_io_threads(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->io_threads = (unsigned)value->integer;
	return 0;
}

static int take_serial(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->serial = value->boolean;
	return 0;
}

static int take_sandbox(struct config *config, const struct capsa_value *value, struct error *err)
{
	(void)err;
	config->sandbox = value->boolean;
	return 0;
}

static int take_boot(struct config *config, const struct capsa_value *value, struct error *err)
{
	if (value->type == CAPSA_TYPE_STRING && means_firmware(value->string))
		return refuse_firmware(value, err);
	if (value->type != CAPSA_TYPE_GROUP)
		return value_mismatch(value, "a group, { kernel = \"PATH\"; ... }", err);
	return take_group(config, value, boot_rules, "unknown key in boot",
	                  "boot takes kernel, initrd, cmdline, kernel_entry and override", err);
}

static const char *const reboot_words[] = { "exit", "restart", NULL }; /* as enum config_reboot */

/* Limits are those of the machine's design; what the host can give is less, and checked by core/vm. */
static const struct rule top_rules[] = {
	{ { .name = "name", .type = CAPSA_TYPE_STRING }, take_name },
	{ { .name = "cpus", .type = CAPSA_TYPE_INT, .min = 1, .max = 254 }, take_cpus },
	{ { .name = "memory", .type = CAPSA_TYPE_SIZE, .min = INT64_C(32) << 20, .max = INT64_C(16) << 40 },
	  take_memory },
	{ { .name = "memory_shared", .type = CAPSA_TYPE_BOOL }, take_memory_shared },
	{ { .name = "on_reboot", .type = CAPSA_TYPE_CHOICE, .choices = reboot_words }, take_on_reboot },
	{ { .name = "stop_timeout", .type = CAPSA_TYPE_INT, .min = 0, .max = 86400 }, take_stop_timeout },
	{ { .name = "io_threads", .type = CAPSA_TYPE_INT, .min = 0, .max = 64 }, take_io_threads },
	{ { .name = "serial", .type = CAPSA_TYPE_BOOL }, take_serial },
	{ { .name = "sandbox", .type = CAPSA_TYPE_BOOL }, take_sandbox },
	{ { .name = "boot", .type = CAPSA_TYPE_NONE }, take_boot },
	{ { .name = "devices", .type = CAPSA_TYPE_NONE }, take_devices },
	{ { .name = "vsock", .type = CAPSA_TYPE_NONE }, take_vsock },
	{ .key = { .name = NULL } },
};

/* The file's name without folder and .conf, with "-" for what no name may have; "vm" where nothing is left. */
static char *default_name(struct config *config)
{
	const char *base = strrchr(config->file, '/');
	char *name;
	size_t i, len;

	base = base ? base + 1 : config->file;
	while (*base && !isalnum((unsigned char)*base))
		base++;
	len = strlen(base);
	if (len > 5 && !strcmp(base + len - 5, ".conf"))
		len -= 5;
	if (!len)
		return arena_strdup(config->arena, "vm");
	name = arena_format(config->arena, "%.*s", (int)(len > NAME_MAX_LEN ? NAME_MAX_LEN : len), base);
	for (i = 0; name && name[i]; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			name[i] = '-';
	return name;
}

static int set_places(struct config *config, const char *file, struct error *err)
{
	const struct capsa_value top = { .file = file };
	char *working_folder = getcwd(NULL, 0);

	if (!working_folder)
		return error_set(err, errno, "%s: the current folder cannot be found: %s", file, strerror(errno));
	config->working_folder = arena_strdup(config->arena, working_folder);
	free(working_folder);
	config->file = arena_strdup(config->arena, file);
	if (!config->file || !config->working_folder)
		return no_memory(err);
	config->folder = folder_of_value(config, &top, config->arena);
	return config->folder ? 0 : no_memory(err);
}

int config_new(const char *label, struct config **out, struct error *err)
{
	static const char *const no_words[] = { NULL };
	struct arena *arena = arena_new();
	struct config *config = arena ? arena_alloc(arena, 1, sizeof *config) : NULL;
	int rc;

	if (!config) {
		arena_free(arena);
		return no_memory(err);
	}
	*config = (struct config){
		.cpus = 1, .memory = UINT64_C(256) << 20, .stop_timeout = 10, .cmdline = no_words, .arena = arena
	};
	rc = set_places(config, label, err);
	if (rc) {
		arena_free(arena);
		return rc;
	}
	*out = config;
	return 0;
}

int config_add_device(struct config *config, const char *text, const char *label, struct error *err)
{
	struct config_device *devices = arena_alloc(config->arena, config->n_devices + 1, sizeof *devices);
	struct capsa_value entry;
	size_t n = config->n_devices;
	int rc;

	if (!devices)
		return no_memory(err);
	rc = read_config_text(text, label, config->arena, &entry, err);
	if (rc)
		return rc;
	if (n > 0)
		memcpy(devices, config->devices, n * sizeof *devices);
	rc = take_device(config, &entry, &devices[n], err);
	if (rc)
		return rc;
	devices[n].file = label ? label : config->file;
	devices[n].line = 0;
	if (!devices[n].name && name_device(config, devices, n + 1, n))
		return no_memory(err);
	config->devices = devices;
	config->n_devices = n + 1;
	return 0;
}

int config_read(const char *file, struct config **out, struct error *err)
{
	struct config *config;
	struct capsa_value root;
	int rc = config_new(file, &config, err);

	if (rc)
		return rc;
	rc = read_config_file(file, config->arena, &root, err);
	if (!rc)
		rc = take_group(
			config, &root, top_rules, "unknown key",
			"known are name, cpus, memory, memory_shared, on_reboot, stop_timeout, io_threads, serial, "
			"sandbox, boot, devices and vsock",
			err);
	if (!rc && !config->name && !(config->name = default_name(config)))
		rc = no_memory(err);
	if (rc)
		goto fail;
	*out = config;
	return 0;

fail:
	/* What was found may hold anything; the error stays one line. */
	for (char *at = err->text; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = ' ';
	arena_free(config->arena);
	return rc;
}

void config_free(struct config *config)
{
	if (config)
		arena_free(config->arena);
}
