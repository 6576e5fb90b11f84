/* SPDX-License-Identifier: MIT */
/* folder.c - see folder.h. Owns nothing. */
#include "core/config/folder.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/path.h"

const char *folder_of_value(const struct config *config, const struct capsa_value *value, struct arena *arena)
{
	char *path = NULL, *folder = NULL, *real = NULL;
	const char *result = NULL;

	if (config->folder && (!value->file || !strcmp(value->file, config->file)))
		return config->folder;
	path = path_join(config->working_folder, value->file);
	if (path)
		folder = path_dirname(path);
	if (folder) {
		/* Without "." and ".." where it can be: the user reads it in messages. */
		real = realpath(folder, NULL);
		result = arena_strdup(arena, real ? real : folder);
	}
	free(real);
	free(folder);
	free(path);
	return result;
}
