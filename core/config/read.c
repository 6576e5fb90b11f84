/* SPDX-License-Identifier: MIT */
/*
 * read.c - see read.h. Owns the libconfig tree while it is copied. (It cannot include config.h: libconfig
 * has a config_read(), too.)
 */
#include "core/config/read.h"

#include <errno.h>
#include <libconfig.h>
#include <stdint.h>
#include <string.h>

#include "core/config/source.h"

/* Recursion is bounded: source.c lets at most SOURCE_MAX_NESTING brackets pass. */
static int copy_setting(const struct source *source, config_setting_t *setting, struct arena *arena,
                        struct capsa_value *out)
{
	const struct source_place place = source_place(source, config_setting_source_line(setting));
	const char *name = config_setting_name(setting);
	struct capsa_value *items;
	int i, n, rc;

	*out = (struct capsa_value){ .file = place.file, .line = place.line };
	if (name) {
		out->name = arena_strdup(arena, name);
		if (!out->name)
			return -ENOMEM;
	}
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_BOOL:
		out->type = CAPSA_TYPE_BOOL;
		out->boolean = config_setting_get_bool(setting);
		return 0;
	case CONFIG_TYPE_INT:
		out->type = CAPSA_TYPE_INT;
		out->integer = config_setting_get_int(setting);
		/* libconfig keeps 0x80000000 and up in an int. */
		if (config_setting_get_format(setting) == CONFIG_FORMAT_HEX)
			out->integer &= UINT32_MAX;
		return 0;
	case CONFIG_TYPE_INT64:
		out->type = CAPSA_TYPE_INT;
		out->integer = config_setting_get_int64(setting);
		return 0;
	case CONFIG_TYPE_FLOAT:
		out->type = CAPSA_TYPE_FLOAT;
		out->real = config_setting_get_float(setting);
		return 0;
	case CONFIG_TYPE_STRING:
		out->type = CAPSA_TYPE_STRING;
		out->string = config_setting_get_string(setting);
		out->string = arena_strdup(arena, out->string ? out->string : "");
		return out->string ? 0 : -ENOMEM;
	default:
		break;
	}
	out->type = config_setting_is_group(setting) ? CAPSA_TYPE_GROUP : CAPSA_TYPE_LIST;
	n = config_setting_length(setting);
	items = arena_alloc(arena, (size_t)n, sizeof *items);
	if (!items)
		return -ENOMEM;
	out->items = items;
	out->n_items = (size_t)n;
	for (i = 0; i < n; i++) {
		rc = copy_setting(source, config_setting_get_elem(setting, (unsigned)i), arena, &items[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int syntax_error(const struct source *source, const config_t *config, struct error *err)
{
	const struct source_place place = source_place(source, (unsigned)config_error_line(config));
	const char *text = config_error_text(config);

	if (!text || !strcmp(text, "syntax error"))
		text = "syntax error; is a \";\", a quote or a bracket missing, or a comma too many, here or just above?";
	else if (!strcmp(text, "duplicate setting name"))
		text = "a key that stands twice in its group";
	else if (!strcmp(text, "mismatched element type in array"))
		text = "an array [ ... ] holds values of one type; write a list ( ... ) for several";
	error_set(err, EINVAL, "%s", text);
	return error_prefix_place(err, -EINVAL, place.file, place.line);
}

static int copy_tree(const struct source *source, struct arena *arena, struct capsa_value *root, struct error *err)
{
	config_t config;
	int rc;

	config_init(&config);
	if (config_read_string(&config, source->text) != CONFIG_TRUE) {
		rc = syntax_error(source, &config, err);
	} else {
		rc = copy_setting(source, config_root_setting(&config), arena, root);
		if (rc)
			error_set(err, -rc, "no memory for the configuration");
	}
	config_destroy(&config);
	return rc;
}

int read_config_file(const char *file, struct arena *arena, struct capsa_value *root, struct error *err)
{
	struct source source;
	int rc = source_read(&source, file, arena, err);

	if (!rc)
		rc = copy_tree(&source, arena, root, err);
	source_free(&source);
	return rc;
}

int read_config_text(const char *text, const char *label, struct arena *arena, struct capsa_value *root,
                     struct error *err)
{
	struct source source;
	int rc = source_from_text(&source, text, label, arena, err);

	if (!rc)
		rc = copy_tree(&source, arena, root, err);
	source_free(&source);
	return rc;
}
