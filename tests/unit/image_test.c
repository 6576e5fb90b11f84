/* SPDX-License-Identifier: MIT */
/* image_test.c - the parts of a sandbox's image: archive, modules, applets, programs; with what can be wrong in each.
 */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sandbox/image-private.h"

/* ---- the archive ---- */

struct member {
	uint32_t mode, links, size;
	const char *name;
	const uint8_t *data;
};

static uint32_t number(const uint8_t *at)
{
	char text[9];

	memcpy(text, at, 8);
	text[8] = '\0';
	assert_int_equal(strspn(text, "0123456789abcdef"), 8);
	return (uint32_t)strtoul(text, NULL, 16);
}

/* The member at *at, which goes on to the next; as Documentation/driver-api/early-userspace/buffer-format.rst has it.
 */
static struct member read_member(const struct archive *a, size_t *at)
{
	const uint8_t *h = a->data + *at;
	struct member m;
	size_t name_size;

	assert_int_equal(*at % 4, 0);
	assert_true(a->len - *at >= 110);
	assert_memory_equal(h, "070701", 6);
	m.mode = number(h + 14);
	assert_int_equal(number(h + 22), 0); /* owner */
	assert_int_equal(number(h + 30), 0);
	m.links = number(h + 38);
	assert_int_equal(number(h + 46), 0); /* time */
	m.size = number(h + 54);
	name_size = number(h + 94);
	assert_int_equal(number(h + 102), 0);
	m.name = (const char *)h + 110;
	assert_int_equal(strlen(m.name) + 1, name_size);
	*at += (110 + name_size + 3) & ~(size_t)3;
	m.data = a->data + *at;
	*at += (m.size + 3) & ~(size_t)3;
	assert_true(*at <= a->len);
	return m;
}

static void an_archive_has_what_was_put_in(void **state)
{
	struct archive a = { .rc = 0 };
	struct member m;
	size_t at = 0;

	(void)state;
	archive_folder(&a, "tmp", 01777);
	archive_file(&a, "tmp/empty", 0600, "", 0);
	archive_file(&a, "tmp/five", 0755, "\0\1\2\3\4", 5);
	archive_link(&a, "tmp/link", "five");
	archive_end(&a);
	assert_int_equal(a.rc, 0);
	assert_int_equal(a.len % 512, 0);
	m = read_member(&a, &at);
	assert_string_equal(m.name, "tmp");
	assert_int_equal(m.mode, S_IFDIR | 01777);
	assert_int_equal(m.links, 2);
	m = read_member(&a, &at);
	assert_string_equal(m.name, "tmp/empty");
	assert_int_equal(m.mode, S_IFREG | 0600);
	assert_int_equal(m.size, 0);
	m = read_member(&a, &at);
	assert_string_equal(m.name, "tmp/five");
	assert_int_equal(m.mode, S_IFREG | 0755);
	assert_int_equal(m.size, 5);
	assert_memory_equal(m.data, "\0\1\2\3\4\0\0\0", 8);
	m = read_member(&a, &at);
	assert_int_equal(m.mode, S_IFLNK | 0777);
	assert_int_equal(m.size, 4);
	assert_memory_equal(m.data, "five", 4);
	m = read_member(&a, &at);
	assert_string_equal(m.name, "TRAILER!!!");
	for (; at < a.len; at++)
		assert_int_equal(a.data[at], 0);
	free(a.data);
}

static void names_of_any_length_are_padded_right(void **state)
{
	(void)state;
	for (size_t len = 1; len < 64; len++) {
		struct archive a = { .rc = 0 };
		char name[64] = "";
		struct member m;
		size_t at = 0;

		memset(name, 'n', len);
		archive_file(&a, name, 0644, name, len);
		archive_end(&a);
		m = read_member(&a, &at);
		assert_string_equal(m.name, name);
		assert_memory_equal(m.data, name, len);
		m = read_member(&a, &at);
		assert_string_equal(m.name, "TRAILER!!!");
		free(a.data);
	}
}

static void what_cannot_go_into_an_archive_fails_once_and_for_all(void **state)
{
	struct archive a = { .rc = 0 };
	char *name = calloc(1, PATH_MAX + 2);
	uint8_t byte = 0;

	(void)state;
	assert_non_null(name);
	memset(name, 'x', PATH_MAX);
	archive_folder(&a, name, 0755);
	assert_int_equal(a.rc, -ENAMETOOLONG);
	archive_folder(&a, "good", 0755);
	archive_end(&a);
	assert_int_equal(a.rc, -ENAMETOOLONG);
	assert_int_equal(a.len, 0);
	free(name);
	a.rc = 0;
	archive_file(&a, "large", 0644, &byte, (size_t)2 << 30);
	assert_int_equal(a.rc, -EFBIG);
	free(a.data);
}

/* ---- modules ---- */

static struct blob text(const char *s)
{
	struct blob blob = { malloc(strlen(s) + 1), strlen(s) };

	assert_non_null(blob.data);
	memcpy(blob.data, s, blob.len + 1);
	return blob;
}

static int choose(const char *dep_text, const char *builtin_text, struct image_modules *out, struct error *err)
{
	struct blob dep = text(dep_text), builtin = text(builtin_text);
	int rc;

	err->text[0] = '\0';
	rc = image_modules_choose(&dep, &builtin, out, err);
	free(dep.data);
	free(builtin.data);
	return rc;
}

#define VIRTIO                                                                    \
	"kernel/drivers/virtio/virtio.ko:\n"                                      \
	"kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko\n" \
	"kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko\n"
#define VSOCK                                                                                \
	"kernel/net/vmw_vsock/vmw_vsock_virtio_transport.ko: kernel/net/vmw_vsock/vsock.ko " \
	"kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko\n"             \
	"kernel/net/vmw_vsock/vsock.ko:\n"

static void what_a_module_needs_comes_before_it(void **state)
{
	struct image_modules modules;
	struct error err;

	(void)state;
	assert_int_equal(choose(VSOCK VIRTIO "kernel/fs/overlayfs/overlay.ko:\n", "", &modules, &err), 0);
	assert_string_equal(modules.table, "always /lib/modules/virtio.ko /lib/modules/virtio_ring.ko /lib/modules/virtio_pci.ko\n"
	                                   "virtio:19 /lib/modules/vsock.ko /lib/modules/vmw_vsock_virtio_transport.ko\n"
	                                   "fs:overlay /lib/modules/overlay.ko\n");
	assert_int_equal(modules.n, 6);
	assert_string_equal(modules.list[0].path, "kernel/drivers/virtio/virtio.ko");
	assert_string_equal(modules.list[4].name, "vmw_vsock_virtio_transport.ko");
	image_modules_free(&modules);
}

static void packed_modules_are_named_as_unpacked_ones(void **state)
{
	struct image_modules modules;
	struct error err;

	(void)state;
	assert_int_equal(choose("a/virtio_pci.ko.xz: b/virtio.ko.zst\nb/virtio.ko.zst:\n"
	                        "vmw_vsock_virtio_transport.ko.gz: b/virtio.ko.zst\n"
	                        "a/virtio-rng.ko.gz:",
	                        "", &modules, &err),
	                 0);
	assert_string_equal(modules.table, "always /lib/modules/virtio.ko /lib/modules/virtio_pci.ko\n"
	                                   "virtio:19 /lib/modules/vmw_vsock_virtio_transport.ko\n"
	                                   "later:virtio:4 /lib/modules/virtio-rng.ko\n");
	assert_string_equal(modules.list[1].path, "a/virtio_pci.ko.xz");
	image_modules_free(&modules);
}

static void what_is_built_in_is_left_away(void **state)
{
	struct image_modules modules;
	struct error err;

	(void)state;
	assert_int_equal(choose("a/virtiofs.ko: a/fuse.ko\na/fuse.ko:\n",
	                        "kernel/drivers/virtio/virtio-pci.ko\nkernel/net/vmw_vsock_virtio_transport.ko",
	                        &modules, &err),
	                 0);
	assert_string_equal(modules.table, "virtio:26 /lib/modules/fuse.ko /lib/modules/virtiofs.ko\n");
	image_modules_free(&modules);
}

static void two_lines_may_need_the_same_file(void **state)
{
	struct image_modules modules;
	struct error err;

	(void)state;
	assert_int_equal(choose(VSOCK VIRTIO "virtio_net.ko: failover.ko\naf_packet.ko:\nipv6.ko: failover.ko\n"
	                                     "virtio_blk.ko: failover.ko\nfailover.ko:\n",
	                        "", &modules, &err),
	                 0);
	assert_non_null(strstr(modules.table, "\nvirtio:1 /lib/modules/failover.ko /lib/modules/virtio_net.ko /lib/modules/af_packet.ko /lib/modules/ipv6.ko\n"
	                                      "virtio:2 /lib/modules/failover.ko /lib/modules/virtio_blk.ko\n"));
	assert_int_equal(modules.n, 10);
	image_modules_free(&modules);
}

static void a_module_that_no_machine_can_do_without_is_missed(void **state)
{
	struct image_modules modules;
	struct error err;

	(void)state;
	assert_int_equal(choose("", "", &modules, &err), -ENOENT);
	assert_string_equal(err.text, "no module virtio_pci");
	image_modules_free(&modules);
	assert_int_equal(choose(VIRTIO, "", &modules, &err), -ENOENT);
	assert_string_equal(err.text, "no module vmw_vsock_virtio_transport");
	image_modules_free(&modules);
}

static void paths_that_lead_elsewhere_are_refused(void **state)
{
	static const char *const lists[] = {
		"/etc/virtio_pci.ko:\n",
		"../virtio_pci.ko:\n",
		"a/../../virtio_pci.ko:\n",
		"a/.hidden/virtio_pci.ko:\n",
		"virtio_pci.ko: ../virtio.ko\n",
		"virtio_pci.ko: /virtio.ko\n",
		"virtio_pci.ko: a/virtio\n",
		"virtio_pci.ko: a/.ko\n",
		"virtio_pci.ko: a\tb.ko\n",
		"virtio_pci.ko: a\x80.ko\n",
		"virtio_pci.ko: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.ko\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct image_modules modules;
		struct error err;

		if (choose(lists[i], "", &modules, &err) != -EINVAL || !strstr(err.text, "run depmod"))
			fail_msg("%s: %s", lists[i], err.text);
		image_modules_free(&modules);
	}
}

static void too_many_modules_are_refused(void **state)
{
	char list[8192];
	struct image_modules modules;
	struct error err;
	size_t len = 0;

	(void)state;
	len += (size_t)snprintf(list + len, sizeof list - len, "virtio_pci.ko:");
	for (unsigned i = 0; i < 200; i++)
		len += (size_t)snprintf(list + len, sizeof list - len, " m%u.ko", i);
	assert_int_equal(choose(list, "", &modules, &err), -E2BIG);
	image_modules_free(&modules);

	len = (size_t)snprintf(list, sizeof list, VIRTIO VSOCK "virtio_net.ko:");
	for (unsigned i = 0; i < 60; i++)
		len += (size_t)snprintf(list + len, sizeof list - len, " m%u.ko", i);
	assert_int_equal(choose(list, "", &modules, &err), -E2BIG);
	assert_int_equal(modules.n, IMAGE_MODULES_MAX);
	image_modules_free(&modules);
}

/* Whatever the files hold, what comes out of them is safe to use. */
static void damaged_lists_do_no_harm(void **state)
{
	static const char good[] = VSOCK VIRTIO "a/virtio_net.ko: a/failover.ko\na/failover.ko:\n";
	uint32_t random = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct blob dep = text(good), builtin = { dep.data, dep.len };
		struct image_modules modules;
		struct error err;

		for (unsigned i = 0; i < 1 + round % 8; i++) {
			random = random * 1664525 + 1013904223;
			dep.data[(random >> 8) % dep.len] =
				(uint8_t)(round & 8 ? (uint8_t) "\0\n: /.\xff-"[random >> 29] : random >> 24);
		}
		dep.len -= (random >> 16) % 40;
		builtin.len = round % 3 ? 0 : dep.len;
		image_modules_choose(&dep, &builtin, &modules, &err);
		for (size_t i = 0; i < modules.n; i++) {
			assert_true(modules.list[i].path[0] != '/' && modules.list[i].path[0] != '.');
			assert_null(strstr(modules.list[i].path, "/."));
			assert_null(strchr(modules.list[i].name, '/'));
			assert_null(strchr(modules.list[i].name, ' '));
			assert_true(strlen(modules.list[i].name) > 3);
		}
		image_modules_free(&modules);
		free(dep.data);
	}
}

/* ---- applets ---- */

static int parse(const char *s, size_t len, struct image_applets *applets)
{
	char *copy = malloc(len + 1);

	assert_non_null(copy);
	memcpy(copy, s, len);
	return image_applets_parse(copy, len, applets);
}

static void applets_are_sorted_and_unique(void **state)
{
	static const char said[] = "sh\n[[\n[\ncat\nsh\n\nbusybox";
	struct image_applets applets;

	(void)state;
	assert_int_equal(parse(said, strlen(said), &applets), 0);
	assert_int_equal(applets.n, 5);
	assert_string_equal(applets.names[0], "[");
	assert_string_equal(applets.names[1], "[[");
	assert_string_equal(applets.names[2], "busybox");
	assert_string_equal(applets.names[3], "cat");
	assert_string_equal(applets.names[4], "sh");
	image_applets_free(&applets);
}

static void what_is_no_list_of_applets_is_refused(void **state)
{
	static const char *const said[] = {
		"",
		"\n\n",
		"a/b",
		"..",
		".",
		"sh\n../../init",
		"a b",
		"a\x1b[1m",
		"caf\xc3\xa9",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	};
	struct image_applets applets;
	char many[2 * 2000];

	(void)state;
	for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
		if (parse(said[i], strlen(said[i]), &applets) != -EINVAL)
			fail_msg("taken: %s", said[i]);
		image_applets_free(&applets);
	}
	assert_int_equal(parse("sh\0x", 4, &applets), -EINVAL);
	image_applets_free(&applets);
	for (size_t i = 0; i < sizeof many; i++)
		many[i] = i % 2 ? '\n' : 'a';
	assert_int_equal(parse(many, sizeof many, &applets), -EINVAL);
	image_applets_free(&applets);
}

static void a_program_that_is_no_busybox_is_told(void **state)
{
	struct image_applets applets;
	struct error err = { "" };

	(void)state;
	assert_int_equal(image_applets_ask("/nowhere/busybox", &applets, &err), -ENOENT);
	assert_string_equal(err.text, "/nowhere/busybox cannot be run: No such file or directory");
	image_applets_free(&applets);
	assert_int_equal(image_applets_ask("/bin/true", &applets, &err), -EINVAL);
	assert_non_null(strstr(err.text, "prints something else"));
	image_applets_free(&applets);
}

/* ---- programs ---- */

/* An ELF's head with these segments. */
static struct blob program(uint16_t type, const uint32_t *segments, uint16_t n)
{
	struct blob file = { calloc(1, 1024), sizeof(Elf64_Ehdr) + n * sizeof(Elf64_Phdr) };
	Elf64_Ehdr elf = { .e_type = type,
		           .e_machine = EM_X86_64,
		           .e_phoff = sizeof elf,
		           .e_phnum = n,
		           .e_phentsize = sizeof(Elf64_Phdr) };

	assert_non_null(file.data);
	memcpy(elf.e_ident, ELFMAG, SELFMAG);
	elf.e_ident[EI_CLASS] = ELFCLASS64;
	memcpy(file.data, &elf, sizeof elf);
	for (uint16_t i = 0; i < n; i++) {
		Elf64_Phdr segment = { .p_type = segments[i] };

		memcpy(file.data + sizeof elf + i * sizeof segment, &segment, sizeof segment);
	}
	return file;
}

static void programs_that_need_libraries_are_refused(void **state)
{
	static const uint32_t alone[] = { PT_LOAD, PT_DYNAMIC }, dynamic[] = { PT_LOAD, PT_INTERP };
	struct error err = { "" };
	struct blob file;

	(void)state;
	file = program(ET_EXEC, alone, 1);
	assert_int_equal(image_check_static("x", &file, "do", &err), 0);
	free(file.data);
	file = program(ET_DYN, alone, 2); /* a static one that may lie anywhere */
	assert_int_equal(image_check_static("x", &file, "do", &err), 0);
	free(file.data);
	file = program(ET_DYN, dynamic, 2);
	assert_int_equal(image_check_static("x", &file, "do", &err), -ENOEXEC);
	assert_string_equal(err.text, "x is not static, and there are no libraries in the guest; do");
	file.len--;
	assert_int_equal(image_check_static("x", &file, "do", &err), -ENOEXEC);
	assert_string_equal(err.text, "x is cut short; do");
	file.data[EI_CLASS] = ELFCLASS32;
	assert_int_equal(image_check_static("x", &file, "do", &err), -ENOEXEC);
	assert_string_equal(err.text, "x is no program for x86_64; do");
	file.len = 3;
	assert_int_equal(image_check_static("x", &file, "do", &err), -ENOEXEC);
	assert_string_equal(err.text, "x is no program; do");
	free(file.data);
}

/* ---- the whole ---- */

static struct blob build(const char *version)
{
	struct image_modules modules = { .n = 1, .table = (char[]){ "always /lib/modules/a.ko\n" } };
	struct blob module = { (uint8_t[]){ "module" }, 6 }, out;
	struct image_parts parts = { .version = version,
		                     .modules = &modules,
		                     .module_files = &module,
		                     .busybox = { (uint8_t[]){ "box" }, 3 },
		                     .agent = { (uint8_t[]){ "agent" }, 5 },
		                     .applets = { .names = { (char[]){ "busybox" }, (char[]){ "cat" } }, .n = 2 } };

	strcpy(modules.list[0].name, "a.ko");
	assert_int_equal(image_tree_build(&parts, &out), 0);
	return out;
}

static const struct member *find(const struct blob *image, const char *name)
{
	const struct archive a = { .data = image->data, .len = image->len };
	static struct member m;
	size_t at = 0;

	do {
		m = read_member(&a, &at);
		if (!strcmp(m.name, name))
			return &m;
	} while (strcmp(m.name, "TRAILER!!!"));
	fail_msg("no %s", name);
	return NULL;
}

static void an_image_has_all_its_parts_in_place(void **state)
{
	struct blob image = build("6.1");

	(void)state;
	assert_memory_equal(find(&image, "init")->data, "agent", 5);
	assert_int_equal(find(&image, "init")->mode, S_IFREG | 0755);
	assert_memory_equal(find(&image, "bin/busybox")->data, "box", 3);
	assert_memory_equal(find(&image, "bin/cat")->data, "busybox", 7);
	assert_memory_equal(find(&image, "bin/sh")->data, "busybox", 7);
	assert_memory_equal(find(&image, "lib/modules/a.ko")->data, "module", 6);
	assert_memory_equal(find(&image, "lib/capsa/modules")->data, "always /lib/modules/a.ko\n", 25);
	assert_int_equal(find(&image, "tmp")->mode, S_IFDIR | 01777);
	free(image.data);
}

static void the_same_parts_give_the_same_bytes(void **state)
{
	struct blob a = build("6.1"), b = build("6.1");

	(void)state;
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	free(a.data);
	free(b.data);
}

static void an_image_tells_whether_it_is_whole(void **state)
{
	(void)state;
	/* Versions of all lengths: what is behind them moves. */
	for (size_t len = 0; len < IMAGE_VERSION_SIZE; len++) {
		char version[IMAGE_VERSION_SIZE] = "", found[IMAGE_VERSION_SIZE];
		struct blob image;

		memset(version, 'v', len);
		image = build(version);
		assert_true(image_tree_check(image.data, image.len, image.len, found));
		assert_string_equal(found, version);
		assert_true(image_tree_check(image.data, IMAGE_HEAD_SIZE, image.len, found));
		assert_false(image_tree_check(image.data, image.len, image.len - 1, found));
		assert_false(image_tree_check(image.data, image.len, image.len + 512, found));
		for (size_t head = 0; head < 300; head += 7)
			assert_false(image_tree_check(image.data, head, head, found));
		free(image.data);
	}
}

static void what_is_no_image_is_told(void **state)
{
	static const char *const heads[] = { "",
		                             "070701",
		                             IMAGE_FORMAT "\n",
		                             IMAGE_FORMAT "\nsize 10",
		                             IMAGE_FORMAT "\nversion x\nsize 0\n",
		                             IMAGE_FORMAT "\n\nsize 40\n",
		                             "capsa-image 0\nversion x\nsize 40\n" };
	char version[IMAGE_VERSION_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
		assert_false(image_tree_check((const uint8_t *)heads[i], strlen(heads[i]), 40, version));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_archive_has_what_was_put_in),
		cmocka_unit_test(names_of_any_length_are_padded_right),
		cmocka_unit_test(what_cannot_go_into_an_archive_fails_once_and_for_all),
		cmocka_unit_test(what_a_module_needs_comes_before_it),
		cmocka_unit_test(packed_modules_are_named_as_unpacked_ones),
		cmocka_unit_test(what_is_built_in_is_left_away),
		cmocka_unit_test(two_lines_may_need_the_same_file),
		cmocka_unit_test(a_module_that_no_machine_can_do_without_is_missed),
		cmocka_unit_test(paths_that_lead_elsewhere_are_refused),
		cmocka_unit_test(too_many_modules_are_refused),
		cmocka_unit_test(damaged_lists_do_no_harm),
		cmocka_unit_test(applets_are_sorted_and_unique),
		cmocka_unit_test(what_is_no_list_of_applets_is_refused),
		cmocka_unit_test(a_program_that_is_no_busybox_is_told),
		cmocka_unit_test(programs_that_need_libraries_are_refused),
		cmocka_unit_test(an_image_has_all_its_parts_in_place),
		cmocka_unit_test(the_same_parts_give_the_same_bytes),
		cmocka_unit_test(an_image_tells_whether_it_is_whole),
		cmocka_unit_test(what_is_no_image_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
