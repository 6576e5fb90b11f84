/* SPDX-License-Identifier: MIT */
/* image-inputs.c - where kernel, modules, busybox and agent are, and what they are like. Called by image.c. */
#include "core/sandbox/image-private.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"
#include "core/boot/boot.h"

_Static_assert(IMAGE_VERSION_SIZE >= BOOT_VERSION_MAX, "a kernel's version fits");

static int out_of_memory(struct error *err)
{
	return error_set(err, ENOMEM, "out of memory");
}

/* ---- the kernel ---- */

/* What distributions call their kernels; nothing that would upset a line of text, or a path. */
static bool version_is_good(const char *version)
{
	for (const char *at = version; *at; at++)
		if (*at <= ' ' || *at > '~' || *at == '/')
			return false;
	return version[0] != '.';
}

static int find_kernel(const char *kernel, struct image_inputs *in, struct error *err)
{
	char *initrd = NULL;
	int rc;

	if (kernel) {
		in->path[IMAGE_KERNEL] = strdup(kernel);
		rc = in->path[IMAGE_KERNEL] ? 0 : out_of_memory(err);
	} else {
		rc = boot_default_kernel(&in->path[IMAGE_KERNEL], &initrd, err);
		free(initrd);
	}
	/* Ubuntu keeps its kernels from its users. */
	if (rc == -EACCES)
		return error_suffix(err, rc,
		                    ", or let kernel-fetch (capsa's packaging) download one, or as root: chmod a+r it");
	if (rc == -ENOENT)
		return error_suffix(err, rc, ", or let kernel-fetch (capsa's packaging) download one");
	if (rc)
		return rc;
	kernel = in->path[IMAGE_KERNEL];
	rc = boot_kernel_look(kernel, &in->look[IMAGE_KERNEL], in->version, err);
	if (rc == -EACCES)
		return error_set(
			err, EACCES,
			"%s: not readable for this user; let kernel-fetch (capsa's packaging) download one, or as "
			"root: chmod a+r '%s'",
			kernel, kernel);
	/* "6.1.0-48-cloud-amd64 (debian-kernel@...) ...": it becomes the name of a folder. */
	in->version[strcspn(in->version, " ")] = '\0';
	if (!version_is_good(in->version))
		in->version[0] = '\0';
	return rc;
}

/* ---- its modules ---- */

/* An ELF does not say its version: the only folder with modules beside it does. */
static void version_of_folder(const char *parent, char version[IMAGE_VERSION_SIZE])
{
	DIR *dir = opendir(parent);
	const struct dirent *d;
	unsigned n = 0;

	while (dir && (d = readdir(dir))) {
		if (!version_is_good(d->d_name) || strlen(d->d_name) >= IMAGE_VERSION_SIZE)
			continue;
		strcpy(version, d->d_name);
		n++;
	}
	if (n != 1)
		version[0] = '\0';
	if (dir)
		closedir(dir);
}

/* Takes parent/VERSION/modules.dep where it is there. */
static int try_modules(const char *parent, struct image_inputs *in, struct error *err)
{
	in->folder = text_format("%s/%s", parent, in->version);
	in->path[IMAGE_MODULES] = in->folder ? text_format("%s/modules.dep", in->folder) : NULL;
	if (!in->path[IMAGE_MODULES])
		return out_of_memory(err);
	if (!stat(in->path[IMAGE_MODULES], &in->look[IMAGE_MODULES]))
		return 0;
	free(in->folder);
	free(in->path[IMAGE_MODULES]);
	in->folder = in->path[IMAGE_MODULES] = NULL;
	memset(&in->look[IMAGE_MODULES], 0, sizeof in->look[IMAGE_MODULES]);
	return -ENOENT;
}

/* That there are none is for image.c to judge. */
static int find_modules(struct image_inputs *in, struct error *err)
{
	char *beside = path_dirname(in->path[IMAGE_KERNEL]), *parent = beside ? path_join(beside, "lib/modules") : NULL;
	int rc = -ENOENT;

	free(beside);
	if (!parent)
		return out_of_memory(err);
	if (!in->version[0])
		version_of_folder(parent, in->version);
	if (in->version[0]) {
		const char *const parents[] = { parent, "/lib/modules", "/usr/lib/modules" };

		for (size_t i = 0; rc == -ENOENT && i < sizeof parents / sizeof *parents; i++)
			rc = try_modules(parents[i], in, err);
	}
	free(parent);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- the programs ---- */

/* The first of the candidates (ends with NULL) that is there; `missing` says what is to be done where none is. */
static int find_program(const char *variable, const char *const *candidates, const char *missing, enum image_file which,
                        struct image_inputs *in, struct error *err)
{
	const char *chosen = getenv(variable);
	const char *const only[] = { chosen, NULL };

	if (chosen && chosen[0])
		candidates = only;
	for (; *candidates; candidates++) {
		if (stat(*candidates, &in->look[which]))
			continue;
		in->path[which] = strdup(*candidates);
		return in->path[which] ? 0 : out_of_memory(err);
	}
	if (chosen && chosen[0])
		return error_set(err, ENOENT, "%s is %s, which is not there: correct or unset it", variable, chosen);
	return error_set(err, ENOENT, "%s", missing);
}

static int find_agent(struct image_inputs *in, struct error *err)
{
	static const char installed[] = CAPSA_LIBEXEC_FOLDER "/capsa-agent", agent[] = "agent/capsa-agent";
	static const char missing[] = "the agent is missing: " CAPSA_LIBEXEC_FOLDER "/capsa-agent; install capsa "
				      "again, or build it and set CAPSA_AGENT";
	const char *chosen = getenv("CAPSA_AGENT");
	char self[PATH_MAX + sizeof agent];
	ssize_t len = chosen && chosen[0] ? 0 : readlink("/proc/self/exe", self, PATH_MAX);
	char *slash;

	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	strcpy(slash ? slash + 1 : self, agent);
	return find_program("CAPSA_AGENT", (const char *const[]){ self, installed, NULL }, missing, IMAGE_AGENT, in,
	                    err);
}

int image_inputs_find(const char *kernel, struct image_inputs *in, struct error *err)
{
	static const char *const busyboxes[] = { "/bin/busybox", "/usr/bin/busybox", NULL };
	int rc;

	memset(in, 0, sizeof *in);
	rc = find_kernel(kernel, in, err);
	if (!rc)
		rc = find_modules(in, err);
	if (!rc)
		rc = find_program("CAPSA_BUSYBOX", busyboxes,
		                  "busybox-static is missing: apt-get install busybox-static", IMAGE_BUSYBOX, in, err);
	return rc ? rc : find_agent(in, err);
}

void image_inputs_free(struct image_inputs *in)
{
	for (unsigned i = 0; i < IMAGE_FILES; i++)
		free(in->path[i]);
	free(in->folder);
}

bool image_inputs_same(const struct image_inputs *in)
{
	for (unsigned i = 0; i < IMAGE_FILES; i++) {
		struct stat now;

		if (in->path[i] && (stat(in->path[i], &now) || !store_same_file(&now, &in->look[i])))
			return false;
	}
	return true;
}

/* ---- files ---- */

int image_read(const char *path, size_t max, struct blob *out, struct error *err)
{
	/* O_NONBLOCK: a FIFO must not make anybody wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = 0;
	struct stat st;

	*out = (struct blob){ NULL, 0 };
	if (fd < 0 || fstat(fd, &st)) {
		rc = error_set(err, errno, "%s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		rc = error_set(err, EINVAL, "%s: a %s, no file", path, S_ISDIR(st.st_mode) ? "folder" : "special file");
	} else if (st.st_size < 0 || (uint64_t)st.st_size > max) {
		rc = error_set(err, EFBIG, "%s: larger than %zu MiB", path, max >> 20);
	} else {
		out->len = (size_t)st.st_size;
		out->data = malloc(out->len + 1);
		if (!out->data)
			rc = out_of_memory(err);
	}
	for (size_t at = 0; !rc && at < out->len;) {
		ssize_t n = pread(fd, out->data + at, out->len - at, (off_t)at);

		if (n > 0)
			at += (size_t)n;
		else if (n == 0)
			rc = error_set(err, ENODATA, "%s: it was truncated while it was read", path);
		else if (errno != EINTR)
			rc = error_set(err, errno, "%s: %s", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	if (rc) {
		free(out->data);
		*out = (struct blob){ NULL, 0 };
	} else {
		out->data[out->len] = '\0';
	}
	return rc;
}

int image_check_static(const char *path, const struct blob *file, const char *remedy, struct error *err)
{
	Elf64_Ehdr elf;
	Elf64_Phdr segment;

	if (file->len < sizeof elf)
		return error_set(err, ENOEXEC, "%s is no program; %s", path, remedy);
	memcpy(&elf, file->data, sizeof elf);
	if (memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != EM_X86_64 ||
	    (elf.e_type != ET_EXEC && elf.e_type != ET_DYN))
		return error_set(err, ENOEXEC, "%s is no program for x86_64; %s", path, remedy);
	if (!elf.e_phnum || elf.e_phentsize != sizeof segment || elf.e_phoff > file->len ||
	    (file->len - elf.e_phoff) / sizeof segment < elf.e_phnum)
		return error_set(err, ENOEXEC, "%s is cut short; %s", path, remedy);
	for (size_t i = 0; i < elf.e_phnum; i++) {
		memcpy(&segment, file->data + elf.e_phoff + i * sizeof segment, sizeof segment);
		if (segment.p_type == PT_INTERP)
			return error_set(err, ENOEXEC, "%s is not static, and there are no libraries in the guest; %s",
			                 path, remedy);
	}
	return 0;
}
