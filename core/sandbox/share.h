/* SPDX-License-Identifier: MIT */
/*
 * share.h - the words of --share and --root, and the devices that they stand for.
 *
 *   --share HOST:GUEST[:ro|:rw][,OPTION[=VALUE]]...
 *   --root DIR[,OPTION[=VALUE]]...
 *
 * HOST and DIR are folders of this host, relative to the working folder; GUEST is a path of the guest's. A backslash
 * takes the character behind it as it is: "\:" and "\," in a path. Options are keys of the plugin virtio-fs, without a
 * value `true`; "ro" and "rw" are `readonly`.
 */
#ifndef CAPSA_SANDBOX_SHARE_H
#define CAPSA_SANDBOX_SHARE_H

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/config/config.h"

/* All of it lives in the arena that it was parsed with. */
struct share {
	const char *label; /* what the user wrote: "--share src:/src" */
	const char *keys;  /* of its device, as in a file, but for a tag that nobody gave */
	bool is_root, has_tag;
};

/* The argument of --share, or of --root. 0 or -errno with err, which names the option. */
int share_parse(const char *word, bool is_root, struct arena *arena, struct share *out, struct error *err);

/*
 * Adds its device to a machine, with a tag that no other device there has ("share0", "root"). The share's strings are
 * copied. 0 or -errno with err.
 */
int share_add(const struct share *share, struct config *config, struct error *err);

#endif
