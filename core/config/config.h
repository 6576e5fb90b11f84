/* SPDX-License-Identifier: MIT */
/*
 * config.h - the configuration file as plain structs.
 *
 * The only room that sees libconfig. Every failure is one line that begins with
 * FILE:LINE: and says key, what was found and what is allowed. Device entries are kept
 * as values: only the plugin's own key table can check them (config/keys.h).
 */
#ifndef CAPSA_CONFIG_CONFIG_H
#define CAPSA_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsa-plugin.h"
#include "core/base/error.h"

/* What happens when the guest asks for a reset. */
enum config_reboot { CONFIG_REBOOT_EXIT, CONFIG_REBOOT_RESTART };

/* `boot.kernel_entry`. */
enum config_kernel_entry {
	CONFIG_ENTRY_AUTO,       /* unpacked on the host where possible */
	CONFIG_ENTRY_COMPRESSED, /* the guest's own unpacker, hence KASLR */
};

/* Where a key stands: in the user's file or in one that it includes. Line 0: the key is absent. */
struct config_place {
	const char *file;
	unsigned line;
};

/* One entry of `devices`, in the order of the file. */
struct config_device {
	const char *name;   /* `name = "..."`, else plugin + number ("console0"); unique */
	const char *plugin; /* a name ([a-z][a-z0-9-]*), or a path where it contains '/' (made absolute) */
	const char *file;   /* where the entry stands (@include) */
	unsigned line;
	const struct capsa_value *values; /* the other keys of the entry, as found: n_values of them */
	size_t n_values;
};

/* One entry of `vsock.ports`. */
struct config_vsock_port {
	uint32_t port;
	const char *path; /* absolute */
	bool connect;     /* `mode = "connect"`: the guest's connections to the port go to the path; else capsa listens there */
	bool seqpacket;   /* `type = "seqpacket"`; of a listening one */
	bool held;        /* connections wait until the guest is ready for them: no key sets this */
	struct config_place place, type_place;
};

/* `vsock`. */
struct config_vsock {
	uint64_t cid;       /* 3..; default 3 */
	const char *socket; /* absolute path, or NULL */
	struct config_vsock_port *ports;
	size_t n_ports;
	struct config_place place;
};

struct config {
	const char *file;   /* as given by the user */
	const char *folder; /* absolute, that of `file`: what relative paths in it are relative to */
	const char *
		working_folder; /* absolute: what relative names of files (`file` here and in values) are relative to */
	const char *name;       /* [A-Za-z0-9][A-Za-z0-9._-]{0,63}; default: the file's name without .conf */

	unsigned cpus;      /* 1.. ; default 1 */
	struct config_place cpus_place;
	uint64_t memory;    /* bytes, a multiple of 1 MiB; default 256 MiB */
	struct config_place memory_place;
	bool memory_shared;
	enum config_reboot on_reboot;
	unsigned stop_timeout; /* seconds; default 10 */
	unsigned io_threads;   /* extra loops; default 0 */
	bool serial;           /* 16550 at 0x3f8, output to standard error; default false */
	bool sandbox;          /* boots the sandbox's image with its agent; default false */

	const char *kernel; /* absolute path; NULL: the default kernel (boot_default_kernel), also for "default" */
	struct config_place kernel_place;
	const char *initrd; /* absolute path, or NULL */
	struct config_place initrd_place;
	enum config_kernel_entry kernel_entry;
	const char *const
		*cmdline; /* the user's words, ends with NULL (never NULL itself); may hold several words each */
	struct config_place cmdline_place;
	bool cmdline_override; /* `boot.override = true`: no defaults */

	const struct config_device *devices;
	size_t n_devices;

	struct config_vsock *vsock; /* NULL: no such device */

	struct arena *arena; /* owner of all the above */
};

/* Reads and checks `file`. The result in *out belongs to the caller: config_free(). 0 or -errno with err. */
int config_read(const char *file, struct config **out, struct error *err);
/*
 * A machine that no file describes: defaults, no name, no devices; `label` is what messages call it. The caller fills in what
 * it wants (strings in config->arena). 0 or -errno with err.
 */
int config_new(const char *label, struct config **out, struct error *err);
/*
 * Adds the device whose keys are `text`, written as in a file: `plugin = "rng"; name = "...";`. `label` is what messages
 * about it begin with in place of a file (NULL: the configuration's), and lives as long as `config`. 0 or -errno with
 * err.
 */
int config_add_device(struct config *config, const char *text, const char *label, struct error *err);
void config_free(struct config *config);
/* Whether it can be the name of a machine or of a device: [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
bool config_name_is_valid(const char *name);

#endif
