/* SPDX-License-Identifier: MIT */
/*
 * check.c - see check.h. Called by loader.c (description) and device.c (setup); owns nothing.
 *
 * Only the first three fields of a description may be read before its size is known. The strings
 * and tables that it points to are the plugin's, constant as long as it is loaded.
 */
#include "core/plugin/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"

/* A description that ends before this field cannot name its device; nothing later than this is ever read blindly. */
#define MIN_STRUCT_SIZE (offsetof(struct capsa_plugin, thread_model) + sizeof(enum capsa_thread_model))
/* More than any interface will ever need: a struct_size above it is garbage. */
#define MAX_STRUCT_SIZE 65536u

#define MAX_TEXT 256u     /* letters of version, description, help */
#define MAX_CHOICES 128u  /* of one key */
#define MAX_DEVICE_ID 63u /* PCI device IDs of modern virtio: 0x1040 + 1..63 (virtio 1.2, 4.1.2.1) */
#define MAX_WORKERS 64u
#define MIN_WINDOW (2ull << 20)
#define MAX_WINDOW (1ull << 40)
/* Bits 24 to 49 of the features are the transport's (virtio 1.2, 2.2 and 6). */
#define TRANSPORT_FEATURES (((1ull << 50) - 1) & ~((1ull << 24) - 1))

/* [a-z][a-z0-9<extra>]*, at most PLUGIN_MAX_NAME letters */
static bool word_valid(const char *word, const char *extra)
{
	size_t i;

	if (!word || word[0] < 'a' || word[0] > 'z')
		return false;
	for (i = 1; i <= PLUGIN_MAX_NAME && word[i]; i++) {
		bool plain = (word[i] >= 'a' && word[i] <= 'z') || (word[i] >= '0' && word[i] <= '9');

		if (!plain && !strchr(extra, word[i]))
			return false;
	}
	return i <= PLUGIN_MAX_NAME;
}

bool plugin_name_valid(const char *name)
{
	return word_valid(name, "-");
}

/* One line that is fit to be printed. */
static bool line_valid(const char *text)
{
	size_t len;

	if (!text)
		return false;
	len = strnlen(text, MAX_TEXT + 1);
	if (len == 0 || len > MAX_TEXT)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

static int check_versions(const struct capsa_plugin *theirs, const char *file, struct error *err)
{
	if (theirs->api_version != CAPSA_PLUGIN_API_VERSION ||
	    (theirs->api_version == 0 && theirs->api_revision != CAPSA_PLUGIN_API_REVISION))
		return error_set(err, EPROTO, "%s was built for plugin interface %u.%u; this capsa has %u.%u: %s", file,
		                 theirs->api_version, theirs->api_revision, CAPSA_PLUGIN_API_VERSION,
		                 CAPSA_PLUGIN_API_REVISION,
		                 theirs->api_version > CAPSA_PLUGIN_API_VERSION ||
		                                 (theirs->api_version == CAPSA_PLUGIN_API_VERSION &&
		                                  theirs->api_revision > CAPSA_PLUGIN_API_REVISION)
		                         ? "install a newer capsa, or build the plugin with this one's header"
		                         : "build the plugin again with this capsa's header");
	if (theirs->struct_size < MIN_STRUCT_SIZE)
		return error_set(err, EPROTO,
		                 "%s: struct_size is %zu, too small for a struct capsa_plugin (use "
		                 "CAPSA_PLUGIN_HEADER)",
		                 file, theirs->struct_size);
	if (theirs->struct_size > MAX_STRUCT_SIZE || theirs->struct_size % sizeof(void *))
		return error_set(err, EPROTO,
		                 "%s: struct_size is %zu, which no struct capsa_plugin has (use "
		                 "CAPSA_PLUGIN_HEADER)",
		                 file, theirs->struct_size);
	return 0;
}

static int check_identity(const struct capsa_plugin *info, const char *file, struct error *err)
{
	const uint32_t known_needs = CAPSA_NEEDS_FILES | CAPSA_NEEDS_INTERNET | CAPSA_NEEDS_UNIX;

	if (!info->name)
		return error_set(err, EPROTO, "%s: the plugin has no name", file);
	if (!plugin_name_valid(info->name))
		return error_set(err, EPROTO,
		                 "%s: \"%.40s\" is no name for a plugin: a lower-case letter, then lower-case "
		                 "letters, digits and '-', at most %u in all",
		                 file, info->name, PLUGIN_MAX_NAME);
	if (!line_valid(info->version))
		return error_set(err, EPROTO, "%s: the plugin has no version (one line, at most %u letters)", file,
		                 MAX_TEXT);
	if (!line_valid(info->description))
		return error_set(err, EPROTO, "%s: the plugin has no description (one line, at most %u letters)", file,
		                 MAX_TEXT);
	if (info->virtio_device_id == 0 || info->virtio_device_id > MAX_DEVICE_ID)
		return error_set(err, EPROTO, "%s: virtio_device_id is %u; it must be a VIRTIO_ID_* from 1 to %u", file,
		                 info->virtio_device_id, MAX_DEVICE_ID);
	if ((unsigned)info->thread_model > CAPSA_THREAD_PARALLEL)
		return error_set(err, EPROTO, "%s: thread_model %u is unknown to this capsa", file,
		                 (unsigned)info->thread_model);
	if (info->needs & ~known_needs)
		return error_set(err, EPROTO, "%s: needs has bits unknown to this capsa (0x%x)", file,
		                 info->needs & ~known_needs);
	if (info->flags)
		return error_set(err, EPROTO, "%s: flags has bits unknown to this capsa (0x%x)", file, info->flags);
	return 0;
}

static int check_callbacks(const struct capsa_plugin *info, const char *file, struct error *err)
{
	const struct {
		const char *name;
		bool there;
	} mandatory[] = {
		{ "create", info->create },     { "realize", info->realize },
		{ "activate", info->activate }, { "queue_notify", info->queue_notify },
		{ "reset", info->reset },       { "destroy", info->destroy },
	};

	for (size_t i = 0; i < sizeof mandatory / sizeof mandatory[0]; i++)
		if (!mandatory[i].there)
			return error_set(err, EPROTO, "%s: the mandatory callback %s() is missing", file,
			                 mandatory[i].name);
	if (info->keys && info->keys[0].name && !info->config)
		return error_set(err, EPROTO, "%s: the plugin declares keys but has no config() to take them", file);
	return 0;
}

static bool default_valid(const struct capsa_key *key)
{
	const char *text = key->default_text;
	uint64_t size;
	int64_t number;
	char *end;

	switch (key->type) {
	case CAPSA_TYPE_BOOL:
		return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
	case CAPSA_TYPE_INT:
		errno = 0;
		number = strtoll(text, &end, 0);
		if (errno || end == text || *end)
			return false;
		break;
	case CAPSA_TYPE_SIZE:
		if (text_parse_size(text, &size) < 0)
			return false;
		number = (int64_t)size;
		break;
	case CAPSA_TYPE_CHOICE:
		for (size_t i = 0; key->choices[i]; i++)
			if (strcmp(text, key->choices[i]) == 0)
				return true;
		return false;
	case CAPSA_TYPE_FLOAT:
		(void)strtod(text, &end);
		return end != text && !*end;
	default:
		return true;
	}
	return key->min >= key->max || (number >= key->min && number <= key->max);
}

static int check_key(const struct capsa_plugin *info, unsigned index, const char *file, struct error *err)
{
	const struct capsa_key *key = &info->keys[index];
	size_t n_choices = 0;

	if (!word_valid(key->name, "_-"))
		return error_set(err, EPROTO,
		                 "%s: key %u, \"%.40s\": a key is a lower-case letter, then lower-case letters, "
		                 "digits, '_' and '-', at most %u in all",
		                 file, index + 1, key->name, PLUGIN_MAX_NAME);
	if (strcmp(key->name, "plugin") == 0 || strcmp(key->name, "name") == 0)
		return error_set(err, EPROTO, "%s: the key \"%s\" is capsa's own in every device entry", file,
		                 key->name);
	for (unsigned i = 0; i < index; i++)
		if (strcmp(info->keys[i].name, key->name) == 0)
			return error_set(err, EPROTO, "%s: the key \"%s\" is declared twice", file, key->name);
	if (key->type == CAPSA_TYPE_NONE || (unsigned)key->type > CAPSA_TYPE_FLOAT)
		return error_set(err, EPROTO, "%s: the key \"%s\" has type %u, which is unknown to this capsa", file,
		                 key->name, (unsigned)key->type);
	if (!line_valid(key->help))
		return error_set(err, EPROTO, "%s: the key \"%s\" has no help (one line, at most %u letters)", file,
		                 key->name, MAX_TEXT);
	if ((key->flags & ~CAPSA_KEY_LIVE) || key->reserved[0] || key->reserved[1])
		return error_set(err, EPROTO, "%s: the key \"%s\" uses fields unknown to this capsa", file, key->name);
	if ((key->flags & CAPSA_KEY_LIVE) && !info->reconfigure)
		return error_set(err, EPROTO,
		                 "%s: the key \"%s\" is live, but the plugin has no reconfigure() to take it", file,
		                 key->name);
	/* Who else has the value is known at the start only. */
	if ((key->flags & CAPSA_KEY_LIVE) && key->unique)
		return error_set(err, EPROTO, "%s: the key \"%s\" is both live and unique, which cannot be kept", file,
		                 key->name);
	if (key->type == CAPSA_TYPE_CHOICE) {
		while (key->choices && n_choices <= MAX_CHOICES && key->choices[n_choices])
			n_choices++;
		if (n_choices == 0 || n_choices > MAX_CHOICES)
			return error_set(err, EPROTO,
			                 "%s: the key \"%s\" needs a list of choices, 1 to %u, ended by NULL", file,
			                 key->name, MAX_CHOICES);
	}
	if (key->required && key->default_text)
		return error_set(err, EPROTO, "%s: the key \"%s\" is required, so its default can never count", file,
		                 key->name);
	if (key->default_text && !default_valid(key))
		return error_set(err, EPROTO,
		                 "%s: the default \"%.100s\" of the key \"%s\" is not a value that it may have", file,
		                 key->default_text, key->name);
	return 0;
}

int plugin_check(const struct capsa_plugin *theirs, const char *file, struct capsa_plugin *out, struct error *err)
{
	int r = check_versions(theirs, file, err);

	if (r < 0)
		return r;
	memset(out, 0, sizeof *out);
	memcpy(out, theirs, theirs->struct_size < sizeof *out ? theirs->struct_size : sizeof *out);
	r = check_identity(out, file, err);
	if (r == 0)
		r = check_callbacks(out, file, err);
	for (unsigned i = 0; r == 0 && out->keys && out->keys[i].name; i++) {
		if (i == PLUGIN_MAX_KEYS)
			return error_set(err, EPROTO, "%s: more than %u keys; does the table end with a NULL name?",
			                 file, PLUGIN_MAX_KEYS);
		r = check_key(out, i, file, err);
	}
	return r;
}

static bool power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

static int check_queue(const struct capsa_queue_setup *queue, unsigned index, struct error *err)
{
	if (queue->size < 2 || queue->size > CAPSA_MAX_QUEUE_SIZE || !power_of_two(queue->size))
		return error_set(err, EINVAL, "queue %u has size %u; it must be a power of two from 2 to %u", index,
		                 queue->size, CAPSA_MAX_QUEUE_SIZE);
	if (queue->max_segments > CAPSA_MAX_QUEUE_SIZE)
		return error_set(err, EINVAL, "queue %u has max_segments %u; at most %u are possible", index,
		                 queue->max_segments, CAPSA_MAX_QUEUE_SIZE);
	if (queue->max_bytes > UINT32_MAX)
		return error_set(err, EINVAL, "queue %u has max_bytes %" PRIu64 "; at most %u are possible", index,
		                 queue->max_bytes, UINT32_MAX);
	if (queue->flags || queue->reserved[0] || queue->reserved[1])
		return error_set(err, EINVAL, "queue %u uses fields unknown to this capsa", index);
	return 0;
}

static int check_window(const struct capsa_setup *setup, unsigned index, struct error *err)
{
	const struct capsa_shared_memory_setup *window = &setup->shared_memory[index];

	for (unsigned i = 0; i < index; i++)
		if (setup->shared_memory[i].id == window->id)
			return error_set(err, EINVAL, "shared memory %u is there twice", window->id);
	if (!power_of_two(window->size) || window->size < MIN_WINDOW || window->size > MAX_WINDOW)
		return error_set(err, EINVAL,
		                 "shared memory %u has %" PRIu64 " bytes; it must be a power of two from 2 MiB "
		                 "to 1 TiB",
		                 window->id, window->size);
	if (window->flags || window->reserved[0] || window->reserved[1])
		return error_set(err, EINVAL, "shared memory %u uses fields unknown to this capsa", window->id);
	return 0;
}

int plugin_check_setup(const struct capsa_setup *setup, struct error *err)
{
	int r;

	if (setup->features & TRANSPORT_FEATURES)
		return error_set(err, EINVAL,
		                 "it offers features 0x%" PRIx64 ", of which bits 24 to 49 are the transport's",
		                 setup->features);
	if (setup->n_queues == 0 || setup->n_queues > CAPSA_MAX_QUEUES)
		return error_set(err, EINVAL, "it has %u queues; 1 to %u are possible", setup->n_queues,
		                 CAPSA_MAX_QUEUES);
	for (unsigned i = 0; i < setup->n_queues; i++) {
		r = check_queue(&setup->queues[i], i, err);
		if (r < 0)
			return r;
	}
	if (setup->config_size > CAPSA_MAX_CONFIG_SPACE)
		return error_set(err, EINVAL, "its configuration space has %zu bytes; at most %u are possible",
		                 setup->config_size, CAPSA_MAX_CONFIG_SPACE);
	if (setup->n_shared_memory > CAPSA_MAX_SHARED_MEMORY)
		return error_set(err, EINVAL, "it has %u shared-memory windows; at most %u are possible",
		                 setup->n_shared_memory, CAPSA_MAX_SHARED_MEMORY);
	for (unsigned i = 0; i < setup->n_shared_memory; i++) {
		r = check_window(setup, i, err);
		if (r < 0)
			return r;
	}
	if (setup->n_workers > MAX_WORKERS)
		return error_set(err, EINVAL, "it asks for %u worker threads; at most %u are possible",
		                 setup->n_workers, MAX_WORKERS);
	return 0;
}
